package leyden

import "github.com/spf13/cobra"

func newDemoCmd(*App) *cobra.Command { return &cobra.Command{Use: "demo"} }
