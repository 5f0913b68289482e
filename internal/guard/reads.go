package guard

// readRules are the rules of the methods that only tell about the node.
func readRules() map[string]rule { return map[string]rule{} }
