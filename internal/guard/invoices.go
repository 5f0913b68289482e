package guard

// invoiceRules are the rules of the methods about invoices.
func invoiceRules() map[string]rule { return map[string]rule{} }
