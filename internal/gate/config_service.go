package gate

// Service is one backend and what it costs.
type Service struct {
	// Name is what a token of this service names. Needed, different for
	// each service.
	Name serviceName `yaml:"name"`

	// HostRegexp is matched against the Host header, in lower case. Default:
	// every host.
	HostRegexp pattern `yaml:"hostregexp"`

	// PathRegexp is matched against the decoded path. Default: every path.
	PathRegexp pattern `yaml:"pathregexp"`

	// Address is the backend, host:port. Needed.
	Address string `yaml:"address"`

	// Protocol is http or https. Default http.
	Protocol protocol `yaml:"protocol"`

	// TLSCertPath is the certificate that an https backend is trusted by,
	// alone. Default: the system's authorities.
	TLSCertPath string `yaml:"tlscertpath"`

	// Auth is on, off, or "freebie N". Default on; off: free; freebie: N
	// requests of each client are free.
	Auth authLevel `yaml:"auth"`

	// AuthScheme is l402, mpp (the Payment scheme) or l402+mpp. Default l402,
	// with authenticator.enablempp l402+mpp; without it mpp is an error.
	AuthScheme authScheme `yaml:"authscheme"`

	// Price is what one token costs, in sat. Default 1, also for 0.
	Price price `yaml:"price"`

	// Timeout is how many seconds a token is good. Default 0: for ever.
	Timeout seconds `yaml:"timeout"`

	// AuthWhitelistPaths are free of charge.
	AuthWhitelistPaths []pattern `yaml:"authwhitelistpaths"`

	// AuthSkipInvoiceCreationPaths need a token as all others do, but no
	// invoice is made for them: their 402 has no challenge.
	AuthSkipInvoiceCreationPaths []pattern `yaml:"authskipinvoicecreationpaths"`

	// Capabilities are what a token of this service may do, by commas. Default
	// none: no caveat.
	Capabilities string `yaml:"capabilities"`

	// CapabilityPaths say which capability a path needs. A path that none
	// matches needs none.
	CapabilityPaths map[string]pattern `yaml:"capabilitypaths"`

	// Constraints are caveats that tokens of this service get, by key.
	Constraints map[string]string `yaml:"constraints"`

	// RateLimits hold for this service, beside those for all.
	RateLimits []RateLimit `yaml:"ratelimits"`

	// Rewrite changes the path for the backend.
	Rewrite Rewrite `yaml:"rewrite"`

	// PassCredential lets the backend see the buyer's credential. Default
	// false.
	PassCredential bool `yaml:"passcredential"`

	// MaxBodyBytes bounds a request's body, in bytes. Default:
	// limits.maxbodybytes.
	MaxBodyBytes byteCount `yaml:"maxbodybytes"`

	// Shadow charges nobody and logs what would have been charged. Default
	// false, or the top level's.
	Shadow bool `yaml:"shadow"`

	// Headers are set on every request to the backend. A value
	// "!file+hex:PATH" or "!file+base64:PATH" is the file's content.
	Headers map[string]string `yaml:"headers"`

	laterService `yaml:",inline"`
}

// Rewrite changes a request's path before the backend gets it.
type Rewrite struct {
	// Prefix is put before the path. Begins with a slash. Default none.
	Prefix string `yaml:"prefix"`
}
