package guard

// paymentRules are the rules of the methods about payments.
func paymentRules() map[string]rule { return map[string]rule{} }
