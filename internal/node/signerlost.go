package node

import (
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/leydenln/leyden/internal/front"
)

// signerAway is what clients are told while the signer is away. Anybody who
// reaches the port sees it: the code, not the details.
func signerAway(code string) front.Refusal {
	return front.Refusal{Code: codes.Unavailable, Reason: "signer_unreachable",
		Sentence: "the node's signer is away: " + code, Hint: "leyden node status"}
}

// signerLost is what a client is told whose call was open when the signer went:
// lnd's own words for that name the signer's address. Nil for any other error, a
// signer's refusal among them. The words are those of lnd's lnwallet/rpcwallet.
func signerLost(st *status.Status) *front.Refusal {
	text := st.Message()
	asked := strings.Contains(text, "remote signer instance") || strings.Contains(text, "error signing with remote")
	lost := strings.Contains(text, "code = Unavailable desc") || strings.Contains(text, "code = DeadlineExceeded desc")
	if !asked || !lost {
		return nil
	}
	r := signerAway("signer_unreachable")
	return &r
}
