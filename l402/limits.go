package l402

// Bounds on what strangers send. What exceeds one is malformed.
const (
	// MaxTokenSize is the most bytes a binary token may have.
	MaxTokenSize = 4096

	// MaxTokens is the most tokens one credential or challenge may carry:
	// the token itself and the discharges of its third-party caveats.
	MaxTokens = 4

	// MaxCaveats is the most caveats the tokens of one credential may have
	// together.
	MaxCaveats = 32

	// MaxListItems is the most items a services or capabilities caveat may
	// list.
	MaxListItems = 32

	// MaxInvoiceSize is the most characters an invoice may have; the
	// longest that lnd decodes has 7,092.
	MaxInvoiceSize = 7092

	// MaxHeaderSize is the most bytes the lines of one header may have
	// together.
	MaxHeaderSize = 64 << 10

	// MaxPresented is the most challenges or credentials that are read
	// from one message; those that follow are not looked at.
	MaxPresented = 8

	// maxServiceName is the most bytes the name of a service may have.
	maxServiceName = 128

	// maxSchemeName is the most bytes the name of a scheme may have. A
	// longer word in its place is a token in base64, which has over 100.
	maxSchemeName = 32
)
