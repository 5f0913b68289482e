package leyden

import "github.com/spf13/cobra"

func newNodeCmd(*App) *cobra.Command { return &cobra.Command{Use: "node"} }
