package l402http_test

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"

	"github.com/leydenln/leyden/internal/fetch/fetchtest"
	"github.com/leydenln/leyden/l402/l402http"
)

func ExampleTransport() {
	seller, wallet, done := exampleMarket()
	defer done()

	client := &http.Client{Transport: &l402http.Transport{
		Wallet:  wallet,    // anything that can pay an invoice
		MaxCost: 1_000_000, // msat: never more than 1000 sat for one answer
		MaxFee:  10_000,
		Network: "regtest",
	}}
	resp, err := client.Get(seller.URL + "/weather")
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	fmt.Println(resp.Status, string(body), err)
	// Output: 200 OK goods of /weather
	//  <nil>
}

// exampleMarket is a seller of test goods and a wallet that pays it.
func exampleMarket() (*httptest.Server, l402http.Wallet, func()) {
	dir, err := os.MkdirTemp("", "l402http")
	if err != nil {
		log.Fatal(err)
	}
	ledger := fetchtest.Ledger(dir)
	server := httptest.NewServer(fetchtest.NewSeller(ledger))
	return server, &fetchtest.Wallet{Ledger: ledger}, func() {
		server.Close()
		_ = os.RemoveAll(dir)
	}
}
