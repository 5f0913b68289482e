// Package l402http buys and sells over HTTP with L402 and the Payment scheme.
//
// A buyer gives an [http.Client] a [Transport]: it pays 402 answers within
// limits, keeps what it bought, and repeats the request. It promises that
// nothing is believed but the signed invoice; that a purchase is journalled
// before the wallet hears of it, so that a crash at any point neither pays
// twice nor loses a paid token; that a token goes only to the origin it was
// bought from; and that one answer is paid for at most once.
//
// A seller wraps an [http.Handler] in a [Handler], which charges; or puts it
// together from [Seller.Judge], [Seller.Redeem], [Seller.Pass] and
// [Seller.Challenge], where something has to be decided in between. It promises
// that nothing passes that was not paid for, that a Payment credential passes
// once, and that what fails on the seller's side uses nothing up.
//
// The package leaves out the wallet, files, redirects, and sessions of the
// Payment scheme.
package l402http
