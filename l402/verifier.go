package l402

// Verifier is a [Keyring] that remembers which credentials are right. It may
// be used by several goroutines.
type Verifier struct {
	keys     *Keyring
	cache    *cache
	remember int
}

// NewVerifier makes a verifier that remembers about as many credentials as
// said, at about 0.4 kB each; 0 remembers none. When it is full it forgets one
// that has not been asked for lately.
func NewVerifier(keys *Keyring, remember int) *Verifier {
	return &Verifier{keys: keys, cache: newCache(remember), remember: remember}
}

// WithKeys returns a verifier by other keys. It shares what is remembered, but
// when one of the old keys is gone it begins anew.
func (v *Verifier) WithKeys(keys *Keyring) *Verifier {
	if !keys.holds(v.keys) {
		return NewVerifier(keys, v.remember)
	}
	return &Verifier{keys: keys, cache: v.cache, remember: v.remember}
}

// Verify is [Keyring.VerifyChain], from memory where it has succeeded before.
// Failures are not remembered.
func (v *Verifier) Verify(c Credential) (Verified, error) {
	id := c.ID()
	if found, ok := v.cache.get(id); ok {
		return found, nil
	}
	verified, err := v.keys.VerifyChain(c)
	if err != nil {
		return Verified{}, err
	}
	v.cache.put(id, verified)
	return verified, nil
}
