package leyden

import "github.com/spf13/cobra"

func newDevnetCmd(*App) *cobra.Command { return &cobra.Command{Use: "devnet"} }
