package gate

// Authenticator says which node is paid, and how it is reached.
type Authenticator struct {
	// Network is mainnet, testnet, testnet4, signet, regtest or simnet.
	// Default mainnet.
	Network network `yaml:"network"`

	// LndHost is the node's gRPC address. Default localhost:10009.
	LndHost string `yaml:"lndhost"`

	// TLSPath is the node's certificate. Needed, without Passphrase.
	TLSPath string `yaml:"tlspath"`

	// MacDir is the folder with the node's invoice.macaroon. Needed, without
	// Passphrase.
	MacDir string `yaml:"macdir"`

	// Passphrase is the ten words of a session of Lightning Node Connect, in
	// place of the three above. They are of no more use once the gate has
	// paired, and name the session from then on. Default none.
	Passphrase passphrase `yaml:"passphrase"`

	// MailboxAddress is the relay of the session, host:port. Needed with
	// Passphrase.
	MailboxAddress string `yaml:"mailboxaddress"`

	// DevServer skips the check of the relay's certificate. Default false.
	DevServer bool `yaml:"devserver"`

	// Disable asks nobody for money: every service is free. Default false.
	Disable bool `yaml:"disable"`

	// EnableMPP sells by the Payment scheme beside L402: it is AuthScheme's
	// default then. Default false.
	EnableMPP bool `yaml:"enablempp"`

	// MPPRealm is the realm of Payment challenges. Default: the host that the
	// request names.
	MPPRealm string `yaml:"mpprealm"`

	laterAuthenticator `yaml:",inline"`
}

// Challenges bounds what is asked for and not paid. aperture has no such keys.
type Challenges struct {
	// MaxOpen is the most unpaid invoices on the node. Default 1000.
	MaxOpen positive `yaml:"maxopen"`

	// Expiry is how long an invoice may be paid. Default 1h.
	Expiry duration `yaml:"expiry"`

	// SameAddress gives an unpaid challenge again to whoever comes from the
	// same address and names itself by nothing else. Default false: two
	// buyers behind one address would see each other's token, and whoever
	// learns the preimage while forwarding the payment could use it.
	SameAddress bool `yaml:"sameaddress"`
}

// SQLite says where the database is.
type SQLite struct {
	// DBFile is the file. Default gate.db in the gate's folder.
	DBFile string `yaml:"dbfile"`

	// DatabaseFileName is another name for DBFile.
	DatabaseFileName string `yaml:"databasefilename"`

	SkipMigrations laterKey `yaml:"skipmigrations"`
}

// Limits bounds what one client can hold. aperture has no such keys.
type Limits struct {
	// MaxConnections is the most connections at a time. Default 10000.
	MaxConnections positive `yaml:"maxconnections"`

	// MaxHeaderBytes is the most that a request's header may have, in bytes.
	// Default 32 KiB.
	MaxHeaderBytes byteCount `yaml:"maxheaderbytes"`

	// MaxBodyBytes is the most that a request's body may have, in bytes.
	// Default 0: no bound.
	MaxBodyBytes byteCount `yaml:"maxbodybytes"`

	// HeaderTimeout is how long a request's header may take. Default 10s.
	HeaderTimeout duration `yaml:"headertimeout"`

	// BodyTimeout is the longest silence within a request's body. Default 30s.
	BodyTimeout duration `yaml:"bodytimeout"`
}

// RateLimit bounds requests per token, and per address where there is none.
// Every limit whose path matches must allow a request.
type RateLimit struct {
	// PathRegexp is matched against the decoded path. Default: every path.
	PathRegexp pattern `yaml:"pathregexp"`

	// Requests per Per are allowed. Needed, both.
	Requests positive `yaml:"requests"`
	Per      duration `yaml:"per"`

	// Burst is how many requests may come at once. Default: Requests.
	Burst positive `yaml:"burst"`
}

// Prometheus says where figures and health are served.
type Prometheus struct {
	// Enabled serves /metrics and /healthz. Default false.
	Enabled bool `yaml:"enabled"`

	// ListenAddr is an address of the loopback, host:port. Default
	// localhost:9000.
	ListenAddr string `yaml:"listenaddr"`
}
