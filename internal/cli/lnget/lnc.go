package lnget

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/leydenln/leyden/internal/cli/voice"
	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/fetch"
	"github.com/leydenln/leyden/internal/paired"
)

// maxPhrase bounds what is read of standard input, in bytes.
const maxPhrase = 4 << 10

func newLNCCmd(app *App) *cobra.Command {
	cmd := &cobra.Command{Use: "lnc", Short: "Pay from a node elsewhere, paired by ten words",
		Long: `Lightning Node Connect reaches a node that has no open port, through a relay that
understands nothing of it. The node's operator makes ten words, with limits of
their own (leyden sessions add); pair takes them once. After that, ln.mode: lnc
pays through the session.`,
		Args: voice.Args(cobra.NoArgs), RunE: help}
	cmd.AddCommand(newPairCmd(app),
		&cobra.Command{Use: "sessions", Short: "List the nodes that are paired with, the one that pays marked",
			Args: voice.Args(cobra.NoArgs), RunE: func(*cobra.Command, []string) error { return app.lncSessions() }},
		&cobra.Command{Use: "revoke ID", Short: "Delete the keys of a session, which nobody can use then",
			Long: `revoke deletes this side's keys of a session. Nobody can use the session any more;
that its place at the node is free as well, its operator sees to:
leyden sessions revoke ID.`,
			Args: voice.Args(cobra.ExactArgs(1)), ValidArgsFunction: app.sessionIDs,
			RunE: func(_ *cobra.Command, args []string) error { return app.lncRevoke(args[0]) }})
	return cmd
}

func newPairCmd(app *App) *cobra.Command {
	var p fetch.Pairing
	cmd := &cobra.Command{
		Use:   "pair [TEN WORDS | -]",
		Short: "Pair with a node by the ten words it showed",
		Long: `pair connects to the node by ten words and keeps the keys that both sides then
have, in ~/.lnget/lnc, mode 0600: from then on the words are of no more use. Other
users of this machine can read a command line, so that the words are better typed
when asked for, or piped in with -.

Without a configuration file, one is written that pays through this session.`,
		Example: `  lnget ln lnc pair                              asks for the words
  lnget ln lnc pair - < words.txt
  lnget ln lnc pair "ten words …" --mailbox relay.example:11110`,
		Args: voice.Args(cobra.ArbitraryArgs),
		RunE: func(cmd *cobra.Command, args []string) error { return app.lncPair(cmd, args, p) },
	}
	cmd.Flags().StringVar(&p.Mailbox, "mailbox", "", "the relay, host:port (default ln.lnc.mailbox_addr)")
	cmd.Flags().BoolVar(&p.DevServer, "devserver", false, "do not check the relay's certificate, which guards nothing that is said")
	cmd.Flags().BoolVar(&p.WebSocket, "websocket", false, "reach the relay by WebSockets, where gRPC does not pass")
	cmd.Flags().BoolVar(&p.Ephemeral, "ephemeral", false, "try the words and keep nothing: they are used up")
	return cmd
}

func (app *App) lncPair(cmd *cobra.Command, args []string, p fetch.Pairing) error {
	cfg, err := app.load()
	if err != nil {
		return err
	}
	if p.Words, err = app.phrase(args); err != nil {
		return err
	}
	if p.Mailbox == "" {
		p.Mailbox = cfg.LN.LNC.MailboxAddr
	}
	if !cmd.Flags().Changed("devserver") {
		p.DevServer = cfg.LN.LNC.DevServer
	}
	s, err := fetch.Pair(cmd.Context(), cfg.LN.LNC.SessionsDir, p)
	if err != nil {
		return err
	}
	written, err := "", error(nil)
	if !p.Ephemeral {
		written, err = app.usePaired(cfg, s)
	}
	if app.asJSON(cfg) {
		out := sessionJSON(s)
		out["ephemeral"] = p.Ephemeral
		if written != "" {
			out["config"] = written
		}
		voice.PrintJSON(app.Out, out)
		return err
	}
	if p.Ephemeral {
		fmt.Fprintf(app.Out, "the node answers, %s; nothing is kept, and the words are used up: on the node: leyden sessions revoke %s\n",
			nodeName(s), s.ID())
		return err
	}
	fmt.Fprintf(app.Out, "paired with the node, %s: session %s\n", nodeName(s), s.ID())
	if written != "" {
		fmt.Fprintf(app.Out, "wrote %s\n", written)
	}
	return err
}

// phrase is the words of the command line, or of standard input.
func (app *App) phrase(args []string) (string, error) {
	if len(args) > 0 && (len(args) > 1 || args[0] != "-") {
		return strings.Join(args, " "), nil
	}
	if f, ok := app.In.(*os.File); ok && len(args) == 0 && voice.IsTerminal(f) {
		fmt.Fprint(app.Err, "the ten words: ")
		line, err := bufio.NewReader(io.LimitReader(app.In, maxPhrase)).ReadString('\n')
		if errors.Is(err, io.EOF) {
			err = nil
		}
		return line, err
	}
	text, err := io.ReadAll(io.LimitReader(app.In, maxPhrase))
	return string(text), err
}

// usePaired writes a configuration that pays through sessions, where there is
// none; where another one is in force, it says what to change.
func (app *App) usePaired(cfg fetch.Config, s paired.Session) (written string, err error) {
	pays := cfg.LN.LNC.SessionID
	if pays != "" && pays != s.ID() {
		fmt.Fprintf(app.Err, "lnget: ln.lnc.session_id names session %s: to pay through this one, set it to %s\n", pays, s.ID())
	}
	if cfg.LN.Mode == "lnc" {
		return "", nil
	}
	path, err := app.configPath()
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		fresh := fetch.Default()
		fresh.LN.Mode = "lnc"
		fresh.LN.LNC.MailboxAddr, fresh.LN.LNC.DevServer = s.Mailbox, s.DevServer
		return path, fetch.WriteConfig(path, fresh, false)
	}
	fmt.Fprintf(app.Err, "lnget: to pay through it, set ln.mode: lnc in %s, or LNGET_LN_MODE=lnc\n", path)
	return "", nil
}

// sessions is where sessions are kept.
func (app *App) sessions() (fetch.Config, paired.Folder, error) {
	cfg, err := app.load()
	if err == nil && !filepath.IsAbs(cfg.LN.LNC.SessionsDir) {
		err = fault.New("no_home", "set HOME, or ln.lnc.sessions_dir", "the folder %q of the sessions cannot be found", cfg.LN.LNC.SessionsDir)
	}
	return cfg, paired.Folder(cfg.LN.LNC.SessionsDir), err
}

func (app *App) lncSessions() error {
	cfg, folder, err := app.sessions()
	if err != nil {
		return err
	}
	all, err := folder.All()
	if err != nil {
		return err
	}
	pays := cfg.LN.LNC.SessionID
	if pays == "" && len(all) > 0 {
		pays = all[len(all)-1].ID()
	}
	if app.asJSON(cfg) {
		list := []map[string]any{}
		for _, s := range all {
			entry := sessionJSON(s)
			entry["pays"] = cfg.LN.Mode == "lnc" && s.ID() == pays
			list = append(list, entry)
		}
		voice.PrintJSON(app.Out, list)
		return nil
	}
	table(app.Out, "session\tpays\tnode\tnetwork\trelay\tpaired", func(row func(...any)) {
		for _, s := range all {
			row(s.ID(), cfg.LN.Mode == "lnc" && s.ID() == pays, voice.Plain(s.Node), voice.Plain(s.Network), s.Mailbox,
				s.Created.Local().Format(time.DateTime))
		}
	})
	return nil
}

func (app *App) lncRevoke(id string) error {
	cfg, folder, err := app.sessions()
	if err != nil {
		return err
	}
	if err := folder.Remove(id); err != nil {
		return err
	}
	if app.asJSON(cfg) {
		voice.PrintJSON(app.Out, map[string]any{"revoked": id})
		return nil
	}
	fmt.Fprintf(app.Out, "the keys of session %s are deleted; on the node: leyden sessions revoke %s\n", id, id)
	return nil
}

func sessionJSON(s paired.Session) map[string]any {
	return map[string]any{"session": s.ID(), "mailbox": s.Mailbox, "node_pubkey": s.Node, "network": s.Network,
		"created": s.Created.UTC().Format(time.RFC3339), "confirmed": s.Identity.Confirmed}
}

func nodeName(s paired.Session) string {
	if s.Node == "" {
		return "which does not say its name"
	}
	return voice.Plain(s.Node) + " on " + voice.Plain(s.Network)
}

// sessionIDs completes ids.
func (app *App) sessionIDs(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	var ids []string
	if _, folder, err := app.sessions(); err == nil {
		all, _ := folder.All() // what cannot be read is not offered
		for _, s := range all {
			ids = append(ids, s.ID())
		}
	}
	return ids, cobra.ShellCompDirectiveNoFileComp
}
