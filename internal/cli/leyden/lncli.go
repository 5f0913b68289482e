package leyden

import "github.com/spf13/cobra"

func newLncliCmd(*App) *cobra.Command { return &cobra.Command{Use: "lncli"} }
