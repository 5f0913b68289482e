// Package gate is the shop's door: a reverse proxy before a seller's HTTP
// services that charges by L402. It promises that a backend never sees a
// request that was to be paid for and was not, nor the buyer's credentials;
// that what it matches a request by is what the backend gets; that a valid
// token passes whether the node or the database are there or not; and that
// each invoice it asks for is on record first. It sells by L402 alone, and
// leaves out rate limits, free tiers, certificates from an authority and
// reloading.
//
// The parts: config*.go is gate.yaml; route.go and path.go choose the service;
// proxy.go passes on; node.go and watch.go deal with the Lightning node;
// keys.go keeps the master keys; gate.go starts and stops it all. What a
// challenge is and who gets which lives in l402/l402http.
package gate
