package bundle_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/btcsuite/btcd/btcutil/hdkeychain"
	"github.com/btcsuite/btcd/chaincfg"
	"github.com/lightningnetwork/lnd/cert"
	gomacaroon "gopkg.in/macaroon.v2"

	"github.com/leydenln/leyden/internal/bundle"
	"github.com/leydenln/leyden/internal/fault"
)

// real is a good bundle's content; its accounts are as an lnd on regtest prints
// them.
type real struct {
	accounts       []bundle.Account
	private        string // the key of one account, private
	cert, macaroon []byte
}

var good = sync.OnceValue(func() real { return makeReal(&chaincfg.RegressionNetParams, 1, "upub", "vpub") })

func makeReal(net *chaincfg.Params, coin uint32, slip ...string) real {
	master, err := hdkeychain.NewMaster(bytes.Repeat([]byte{7}, 32), net)
	check(err)
	var r real
	add := func(purpose, coin, account uint32, version []byte) {
		key := master
		for _, step := range []uint32{purpose, coin, account} {
			key, err = key.Derive(step | hdkeychain.HardenedKeyStart)
			check(err)
		}
		r.private = key.String()
		key, err = key.Neuter()
		check(err)
		if version != nil {
			key, err = key.CloneWithVersion(version)
			check(err)
		}
		r.accounts = append(r.accounts, bundle.Account{
			Name: "default", AddressType: "WITNESS_PUBKEY_HASH", ExtendedPublicKey: key.String(),
			DerivationPath: fmt.Sprintf("m/%d'/%d'/%d'", purpose, coin, account),
		})
	}
	versions := map[string][]byte{
		"ypub": {0x04, 0x9d, 0x7c, 0xb2}, "zpub": {0x04, 0xb2, 0x47, 0x46},
		"upub": {0x04, 0x4a, 0x52, 0x62}, "vpub": {0x04, 0x5f, 0x1c, 0xf6},
	}
	add(49, 0, 0, versions[slip[0]])
	add(84, 0, 0, versions[slip[1]])
	add(86, 0, 0, nil)
	for family := range uint32(256) {
		add(1017, coin, family, nil)
	}
	r.cert, _, err = cert.GenCertPair("test", nil, nil, false, time.Hour)
	check(err)
	m, err := gomacaroon.New([]byte("root key"), []byte("id"), "lnd", gomacaroon.V2)
	check(err)
	r.macaroon, err = m.MarshalBinary()
	check(err)
	return r
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func accountsJSON(accounts []bundle.Account) []byte {
	data, err := json.Marshal(map[string]any{"accounts": accounts})
	check(err)
	return data
}

// files are the three of a good bundle.
func (r real) files() map[string][]byte {
	return map[string][]byte{
		bundle.AccountsFile: accountsJSON(r.accounts), bundle.CertFile: r.cert, bundle.MacaroonFile: r.macaroon,
	}
}

// packed is a .tar.gz of entries.
func packed(entries ...tar.Header) func(contents ...[]byte) []byte {
	return func(contents ...[]byte) []byte {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		w := tar.NewWriter(z)
		for i, h := range entries {
			if h.Typeflag == 0 || h.Typeflag == tar.TypeReg {
				h.Typeflag, h.Size = tar.TypeReg, int64(len(contents[i]))
			}
			check(w.WriteHeader(&h))
			if h.Size > 0 {
				_, err := w.Write(contents[i])
				check(err)
			}
		}
		check(w.Close())
		check(z.Close())
		return b.Bytes()
	}
}

// archive packs the files under the prefix.
func archive(prefix string, files map[string][]byte) []byte {
	var headers []tar.Header
	var contents [][]byte
	for name, data := range files {
		headers = append(headers, tar.Header{Name: prefix + name, Mode: 0o600})
		contents = append(contents, data)
	}
	return packed(headers...)(contents...)
}

// with is the files of a good bundle and a change.
func with(name string, data []byte) map[string][]byte {
	files := good().files()
	if files[name] = data; data == nil {
		delete(files, name)
	}
	return files
}

// changed is accounts.json with a change to its accounts.
func changed(change func([]bundle.Account) []bundle.Account) map[string][]byte {
	accounts := append([]bundle.Account{}, good().accounts...)
	return with(bundle.AccountsFile, accountsJSON(change(accounts)))
}

func TestParse(t *testing.T) {
	const words = "abandon ability able about above absent absorb abstract absurd abuse access accident account"
	file := func(h tar.Header) []byte {
		return packed(h)([]byte("x"))
	}
	cases := map[string]struct {
		data []byte
		code string
	}{
		"ok/flat":            {data: archive("", good().files())},
		"ok/as tar writes":   {data: archive("./", good().files())},
		"ok/in its folder":   {data: archive("credentials-bundle/", good().files())},
		"ok/base64":          {data: []byte(base64.StdEncoding.EncodeToString(archive("", good().files())))},
		"ok/base64 in lines": {data: bundle.Lines(base64.StdEncoding.EncodeToString(archive("", good().files())))},
		"ok/numbers as text": {data: archive("", with(bundle.AccountsFile, bytes.ReplaceAll(accountsJSON(good().accounts), []byte(`_key_count":0`), []byte(`_key_count":"0"`))))},
		"ok/fingerprint":     {data: archive("", with(bundle.AccountsFile, bytes.ReplaceAll(accountsJSON(good().accounts), []byte(`fingerprint":""`), []byte(`fingerprint":"AQIDBA=="`))))},
		"ok/unknown field":   {data: archive("", with(bundle.AccountsFile, bytes.ReplaceAll(accountsJSON(good().accounts), []byte(`"name"`), []byte(`"of a later lnd":1,"name"`))))},
		"ok/imported account": {data: archive("", changed(func(a []bundle.Account) []bundle.Account {
			return append(a, bundle.Account{Name: "imported", WatchOnly: true})
		}))},

		"fail/nothing":             {code: bundle.CodeBad},
		"fail/text":                {data: []byte("hello"), code: bundle.CodeBad},
		"fail/accounts alone":      {data: accountsJSON(good().accounts), code: bundle.CodeBad},
		"fail/gzip of nothing":     {data: packed()(), code: bundle.CodeBad},
		"fail/cut short":           {data: archive("", good().files())[:2000], code: bundle.CodeBad},
		"fail/no accounts":         {data: archive("", with(bundle.AccountsFile, nil)), code: bundle.CodeBad},
		"fail/no certificate":      {data: archive("", with(bundle.CertFile, nil)), code: bundle.CodeBad},
		"fail/no macaroon":         {data: archive("", with(bundle.MacaroonFile, nil)), code: bundle.CodeBad},
		"fail/empty macaroon":      {data: archive("", with(bundle.MacaroonFile, []byte{})), code: bundle.CodeBad},
		"fail/bad macaroon":        {data: archive("", with(bundle.MacaroonFile, []byte("macaroon"))), code: bundle.CodeBad},
		"fail/bad certificate":     {data: archive("", with(bundle.CertFile, []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"))), code: bundle.CodeBad},
		"fail/text beside":         {data: archive("", with(bundle.CertFile, append([]byte("a note\n"), good().cert...))), code: bundle.CodeBad},
		"fail/unknown file":        {data: archive("", with("readme.txt", []byte("hi"))), code: bundle.CodeBad},
		"fail/path up":             {data: archive("../", good().files()), code: bundle.CodeBad},
		"fail/path up, down again": {data: archive("credentials-bundle/../", good().files()), code: bundle.CodeBad},
		"fail/absolute":            {data: archive("/", good().files()), code: bundle.CodeBad},
		"fail/deeper":              {data: archive("a/", good().files()), code: bundle.CodeBad},
		"fail/twice":               {data: packed(tar.Header{Name: bundle.CertFile}, tar.Header{Name: "./" + bundle.CertFile})(good().cert, good().cert), code: bundle.CodeBad},
		"fail/symbolic link":       {data: file(tar.Header{Name: bundle.CertFile, Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"}), code: bundle.CodeBad},
		"fail/hard link":           {data: file(tar.Header{Name: bundle.CertFile, Typeflag: tar.TypeLink, Linkname: "/etc/passwd"}), code: bundle.CodeBad},
		"fail/device":              {data: file(tar.Header{Name: bundle.CertFile, Typeflag: tar.TypeChar}), code: bundle.CodeBad},
		"fail/folder":              {data: file(tar.Header{Name: bundle.CertFile + "/", Typeflag: tar.TypeDir}), code: bundle.CodeBad},
		"fail/one huge file":       {data: archive("", with(bundle.AccountsFile, make([]byte, 2<<20))), code: bundle.CodeBad},
		"fail/not json":            {data: archive("", with(bundle.AccountsFile, []byte("accounts"))), code: bundle.CodeBad},
		"fail/more than json":      {data: archive("", with(bundle.AccountsFile, append(accountsJSON(good().accounts), "{}"...))), code: bundle.CodeBad},
		"fail/no account":          {data: archive("", with(bundle.AccountsFile, []byte(`{"accounts":[]}`))), code: bundle.CodeBad},
		"fail/account missing":     {data: archive("", changed(func(a []bundle.Account) []bundle.Account { return a[:len(a)-1] })), code: bundle.CodeBad},
		"fail/account twice":       {data: archive("", changed(func(a []bundle.Account) []bundle.Account { return append(a, a[9]) })), code: bundle.CodeBad},
		"fail/of a watch-only":     {data: archive("", changed(func(a []bundle.Account) []bundle.Account { a[1].WatchOnly = true; return a })), code: bundle.CodeBad},
		"fail/bad path":            {data: archive("", changed(func(a []bundle.Account) []bundle.Account { a[1].DerivationPath = "m/84'/0'"; return a })), code: bundle.CodeBad},
		"fail/path not hardened":   {data: archive("", changed(func(a []bundle.Account) []bundle.Account { a[1].DerivationPath = "m/84/0/0"; return a })), code: bundle.CodeBad},
		"fail/key of another path": {data: archive("", changed(func(a []bundle.Account) []bundle.Account { a[9].ExtendedPublicKey = a[10].ExtendedPublicKey; return a })), code: bundle.CodeBad},
		"fail/key misspelt":        {data: archive("", changed(func(a []bundle.Account) []bundle.Account { a[9].ExtendedPublicKey += "1"; return a })), code: bundle.CodeBad},
		"fail/bad count":           {data: archive("", with(bundle.AccountsFile, bytes.Replace(accountsJSON(good().accounts), []byte(`_key_count":0`), []byte(`_key_count":-1`), 1))), code: bundle.CodeBad},
		"fail/bad fingerprint":     {data: archive("", with(bundle.AccountsFile, bytes.Replace(accountsJSON(good().accounts), []byte(`fingerprint":""`), []byte(`fingerprint":"01"`), 1))), code: bundle.CodeBad},

		"fail/secret/private key of an account": {data: archive("", changed(func(a []bundle.Account) []bundle.Account { a[258].ExtendedPublicKey = good().private; return a })), code: bundle.CodeSecrets},
		"fail/secret/private key in a name":     {data: archive("", changed(func(a []bundle.Account) []bundle.Account { a[1].Name = good().private; return a })), code: bundle.CodeSecrets},
		"fail/secret/key beside certificate":    {data: archive("", with(bundle.CertFile, append(good().cert, "-----BEGIN EC PRIVATE KEY-----\nAA==\n-----END EC PRIVATE KEY-----\n"...))), code: bundle.CodeSecrets},
		"fail/secret/words in a name":           {data: archive("", changed(func(a []bundle.Account) []bundle.Account { a[1].Name = words; return a })), code: bundle.CodeSecrets},
		"fail/secret/wallet":                    {data: archive("", with("wallet.db", []byte("x"))), code: bundle.CodeSecrets},
		"fail/secret/seed":                      {data: archive("", with("seed.txt", []byte("x"))), code: bundle.CodeSecrets},
		"fail/secret/password":                  {data: archive("", with("wallet-password.txt", []byte("x"))), code: bundle.CodeSecrets},
		"fail/secret/key file":                  {data: archive("", with("tls.key", []byte("x"))), code: bundle.CodeSecrets},
		"fail/secret/in place of text":          {data: []byte(words), code: bundle.CodeSecrets},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			b, err := bundle.Parse(c.data)
			if got := fault.Code(err); got != c.code {
				t.Fatalf("code %q (%v), want %q", got, err, c.code)
			}
			if err != nil && (strings.Contains(err.Error(), "prv") || strings.Contains(err.Error(), "abandon")) {
				t.Errorf("quotes a secret: %v", err)
			}
			if err == nil && len(b.WatchOnlyAccounts()) != 259 {
				t.Errorf("%d accounts for a watch-only node", len(b.WatchOnlyAccounts()))
			}
		})
	}
}

// TestAccountOfAnotherCoin: what stands behind the accounts that a node needs cannot
// take their place.
func TestAccountOfAnotherCoin(t *testing.T) {
	other := good().accounts[0]
	other.DerivationPath = "m/84'/1'/0'"
	b, err := bundle.Make(append(good().accounts[:259:259], other), good().cert, good().macaroon)
	if err != nil {
		t.Fatal(err)
	}
	if got := b.WatchOnlyAccounts()[1]; got.XPub != good().accounts[1].ExtendedPublicKey || got.CoinType != 0 {
		t.Errorf("%+v", got)
	}
}

// TestBomb: what unpacks to far more than it is must not be unpacked.
func TestBomb(t *testing.T) {
	folders := make([]tar.Header, 20_000)
	for i := range folders {
		folders[i] = tar.Header{Name: "./", Typeflag: tar.TypeDir}
	}
	data := packed(folders...)()
	if len(data) > 100_000 {
		t.Fatalf("the bomb has %d bytes", len(data))
	}
	if _, err := bundle.Parse(data); fault.Code(err) != bundle.CodeBad || !strings.Contains(err.Error(), "bytes") {
		t.Errorf("%v", err)
	}
}

func TestWriteRead(t *testing.T) {
	b, err := bundle.Make(good().accounts, good().cert, good().macaroon)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "deep", "bundle")
	if err := b.Write(dir); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 4 {
		t.Fatalf("%d files, %v", len(entries), err)
	}
	for _, e := range entries {
		if info, err := e.Info(); err != nil || info.Mode() != 0o600 {
			t.Errorf("%s: %v %v", e.Name(), info.Mode(), err)
		}
	}
	text, err := os.ReadFile(filepath.Join(dir, bundle.Base64File))
	if err != nil {
		t.Fatal(err)
	}
	raw, err := base64.StdEncoding.DecodeString(strings.ReplaceAll(string(text), "\n", ""))
	if err != nil {
		t.Fatal(err)
	}
	packed := filepath.Join(t.TempDir(), "bundle.tar.gz")
	check(os.WriteFile(packed, raw, 0o600))
	for name, read := range map[string]func() (*bundle.Bundle, error){
		"folder":  func() (*bundle.Bundle, error) { return bundle.Read(dir, nil) },
		"base64":  func() (*bundle.Bundle, error) { return bundle.Read(filepath.Join(dir, bundle.Base64File), nil) },
		"archive": func() (*bundle.Bundle, error) { return bundle.Read(packed, nil) },
		"stdin":   func() (*bundle.Bundle, error) { return bundle.Read("-", bytes.NewReader(text)) },
	} {
		again, err := read()
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !again.SameKeys(b) || !bytes.Equal(again.TLSCert, b.TLSCert) || !bytes.Equal(again.Macaroon, b.Macaroon) {
			t.Errorf("%s: another bundle", name)
		}
	}
}

// TestWriteCutShort: what a Write that was killed left in the folder does not stay in
// the way.
func TestWriteCutShort(t *testing.T) {
	b, err := bundle.Make(good().accounts, good().cert, good().macaroon)
	check(err)
	dir := t.TempDir()
	for _, name := range []string{".admin.macaroon123", ".credentials-bundle.tar.gz.b645"} {
		check(os.WriteFile(filepath.Join(dir, name), []byte("half"), 0o600))
		if !bundle.Owns(name) {
			t.Errorf("%s is a stranger's", name)
		}
	}
	for _, name := range []string{"admin.macaroon123", ".admin.macaroon", ".admin.macaroonx", ".credentials-bundle.tar.gz.b64", "wallet.db"} {
		if bundle.Owns(name) {
			t.Errorf("%s is ours", name)
		}
	}
	check(b.Write(dir))
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 4 {
		t.Errorf("%d files, %v", len(entries), err)
	}
	if _, err := bundle.Read(dir, nil); err != nil {
		t.Error(err)
	}
}

func TestReadRefuses(t *testing.T) {
	folder := func(change func(dir string)) string {
		dir := t.TempDir()
		for name, data := range good().files() {
			check(os.WriteFile(filepath.Join(dir, name), data, 0o600))
		}
		change(dir)
		return dir
	}
	at := func(name string, make func(path string)) string {
		return folder(func(dir string) {
			_ = os.Remove(filepath.Join(dir, name)) // most are not there
			make(filepath.Join(dir, name))
		})
	}
	write := func(path string) { check(os.WriteFile(path, []byte("x"), 0o600)) }
	large := filepath.Join(t.TempDir(), "large")
	check(os.WriteFile(large, make([]byte, 2<<20), 0o600))
	b, err := bundle.Make(good().accounts, good().cert, good().macaroon)
	check(err)
	text, err := b.Base64()
	check(err)
	for name, c := range map[string]struct{ path, code string }{
		"ok/upstream's file beside":  {at(bundle.Base64File, write), ""},
		"fail/nothing there":         {filepath.Join(t.TempDir(), "none"), "no_bundle"},
		"fail/large file":            {large, bundle.CodeBad},
		"fail/unknown file":          {at("notes", write), bundle.CodeBad},
		"fail/secret file":           {at("wallet.db", write), bundle.CodeSecrets},
		"fail/link":                  {at(bundle.CertFile, func(p string) { check(os.Symlink("/etc/hostname", p)) }), bundle.CodeBad},
		"fail/pipe":                  {at(bundle.CertFile, func(p string) { check(syscall.Mkfifo(p, 0o600)) }), bundle.CodeBad},
		"fail/folder inside":         {at(bundle.CertFile, func(p string) { check(os.Mkdir(p, 0o700)) }), bundle.CodeBad},
		"fail/empty folder":          {t.TempDir(), bundle.CodeBad},
		"fail/text for a path":       {text, "secret_in_argv"},
		"fail/private key in folder": {at("tls.key", write), bundle.CodeSecrets},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := bundle.Read(c.path, nil); fault.Code(err) != c.code {
				t.Errorf("code %q (%v), want %q", fault.Code(err), err, c.code)
			}
		})
	}
}

func TestCheckNetwork(t *testing.T) {
	main := makeReal(&chaincfg.MainNetParams, 0, "ypub", "zpub")
	sim := makeReal(&chaincfg.SimNetParams, 1, "ypub", "zpub")
	testOnMain := makeReal(&chaincfg.MainNetParams, 1, "ypub", "zpub")
	for name, c := range map[string]struct {
		of      real
		network string
		ok      bool
	}{
		"ok/regtest":          {good(), "regtest", true},
		"ok/testnet":          {good(), "testnet", true},
		"ok/mainnet":          {main, "mainnet", true},
		"ok/simnet":           {sim, "simnet", true},
		"fail/test on main":   {good(), "mainnet", false},
		"fail/test on simnet": {good(), "simnet", false},
		"fail/main on test":   {main, "testnet", false},
		"fail/coin type":      {testOnMain, "mainnet", false},
		"fail/sim on main":    {sim, "mainnet", false},
	} {
		t.Run(name, func(t *testing.T) {
			b, err := bundle.Make(c.of.accounts, c.of.cert, c.of.macaroon)
			if err != nil {
				t.Fatal(err)
			}
			want := bundle.CodeWrongNetwork
			if c.ok {
				want = ""
			}
			if err := b.CheckNetwork(c.network); fault.Code(err) != want {
				t.Errorf("%v", err)
			}
		})
	}
	a, _ := bundle.Make(main.accounts, main.cert, main.macaroon)
	b, _ := bundle.Make(sim.accounts, sim.cert, sim.macaroon)
	if a.SameKeys(b) || !a.SameKeys(a) {
		t.Error("keys of two networks are the same, or one's are not")
	}
	if a.MasterFingerprint() != nil {
		t.Error("a fingerprint of nothing")
	}
}

// FuzzParse: nothing a stranger packs makes the reader fail, or pass what is not
// whole.
func FuzzParse(f *testing.F) {
	f.Add(archive("", good().files()))
	f.Add([]byte(base64.StdEncoding.EncodeToString(archive("./", good().files()))))
	f.Add(packed(tar.Header{Name: bundle.CertFile, Typeflag: tar.TypeSymlink, Linkname: "x"})(nil))
	f.Add([]byte{0x1f, 0x8b})
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := bundle.Parse(data)
		if err != nil {
			if c := fault.Code(err); c != bundle.CodeBad && c != bundle.CodeSecrets {
				t.Fatalf("code %q: %v", c, err)
			}
			return
		}
		if len(b.WatchOnlyAccounts()) != 259 || len(b.TLSCert) == 0 || len(b.Macaroon) == 0 {
			t.Fatal("not whole")
		}
	})
}

// FuzzAccounts is the same for accounts.json alone.
func FuzzAccounts(f *testing.F) {
	f.Add(accountsJSON(good().accounts[:3]))
	f.Add([]byte(`{"accounts":[{"derivation_path":"m/1017'/1'/0'","extended_public_key":"tpub"}]}`))
	f.Add([]byte(`{"accounts":[{"external_key_count":"1","master_key_fingerprint":"0g=="}]}`))
	r := good()
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := bundle.New(data, r.cert, r.macaroon)
		if err == nil && len(b.WatchOnlyAccounts()) != 259 {
			t.Fatal("not whole")
		}
	})
}
