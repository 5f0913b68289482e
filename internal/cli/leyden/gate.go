package leyden

import "github.com/spf13/cobra"

func newGateCmd(*App) *cobra.Command { return &cobra.Command{Use: "gate"} }
