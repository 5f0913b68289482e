package gate

import (
	"context"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"strconv"
	"time"

	"github.com/leydenln/leyden/internal/config"
	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/store/gatedb"
	"github.com/leydenln/leyden/l402"
)

// Codes of commands about the records.
const (
	codeUnknownToken = "unknown_token"
	codeBadTokenID   = "bad_token_id"
)

// openRecords opens the database of the gate, whether it runs or not. Code
// no_records when there has never been one.
func openRecords(ctx context.Context, home config.Home, configFlag string) (*gatedb.DB, found, error) {
	f, err := findGate(home, configFlag)
	if err != nil {
		return nil, f, err
	}
	if _, err := os.Stat(f.database()); errors.Is(err, fs.ErrNotExist) {
		return nil, f, fault.New("no_records", "leyden gate start", "no gate has run yet: there is no %s", f.database())
	}
	db, err := gatedb.Open(ctx, f.database())
	return db, f, err
}

// Transactions returns the chosen records, newest first. Codes: no_config,
// no_records and those of the database.
func Transactions(ctx context.Context, home config.Home, configFlag string, f gatedb.Filter) ([]gatedb.Record, error) {
	db, _, err := openRecords(ctx, home, configFlag)
	if err != nil {
		return nil, err
	}
	records, err := db.Records(ctx, f)
	return records, errors.Join(err, db.Close())
}

// TokenEnd is when the token of a record ends by its caveat valid_until, zero
// for never.
func TokenEnd(r gatedb.Record) time.Time {
	caveats, err := r.Token.Caveats()
	if err != nil {
		return time.Time{}
	}
	var end time.Time
	for _, c := range caveats {
		if c.Key != r.Service+"_valid_until" {
			continue
		}
		if unix, err := strconv.ParseInt(c.Value, 10, 63); err == nil {
			end = time.Unix(unix, 0).UTC()
		}
	}
	return end
}

// Revocation is a token that opens nothing any more.
type Revocation struct {
	ID string `json:"id"`

	// InForce: the running gate knows it, or none runs.
	InForce bool `json:"in_force"`
}

// Revoke makes tokens worthless, each named by its id or the payment hash it
// was sold for, in hex. It is on record before the running gate is told, which
// then refuses the token at once. Codes: bad_token_id, unknown_token, both
// before anything is revoked, and no_control when the running gate could not be told:
// then it reads of it within seconds.
func Revoke(ctx context.Context, home config.Home, configFlag, reason string, ids []string) ([]Revocation, error) {
	db, f, err := openRecords(ctx, home, configFlag)
	if err != nil {
		return nil, err
	}
	done, err := revoke(ctx, db, reason, ids)
	if err := errors.Join(err, db.Close()); err != nil {
		return nil, err
	}
	if f.running {
		if err := callControl(ctx, home, controlRevocations, nil); err != nil {
			return done, fault.New(fault.Code(err), "it reads of it by itself within seconds",
				"revoked on record, but the running gate could not be told: %w", err)
		}
	}
	for i := range done {
		done[i].InForce = true
	}
	return done, nil
}

func revoke(ctx context.Context, db *gatedb.DB, reason string, ids []string) ([]Revocation, error) {
	var tokens []l402.TokenID
	for _, id := range ids {
		token, err := findToken(ctx, db, id)
		if err != nil {
			return nil, err
		}
		tokens = append(tokens, token)
	}
	var done []Revocation
	for _, token := range tokens {
		if err := db.Revoke(ctx, token, time.Now(), reason); err != nil {
			return nil, err
		}
		done = append(done, Revocation{ID: token.String()})
	}
	return done, nil
}

// findToken returns the token that was sold under an id or a payment hash.
func findToken(ctx context.Context, db *gatedb.DB, text string) (l402.TokenID, error) {
	raw, err := hex.DecodeString(text)
	if err != nil || len(raw) != l402.TokenIDSize {
		return l402.TokenID{}, fault.New(codeBadTokenID, "leyden gate tokens list",
			"%q is no token id: want its 64 hex digits, or those of the payment hash", text)
	}
	records, err := db.Find(ctx, [l402.TokenIDSize]byte(raw))
	if err != nil {
		return l402.TokenID{}, err
	}
	if len(records) == 0 {
		return l402.TokenID{}, fault.New(codeUnknownToken, "leyden gate tokens list", "no token %q was sold here", text)
	}
	return records[0].TokenID, nil
}

// Stats are the figures of a gate.
type Stats struct {
	Running  bool                   `json:"running"`
	Services []gatedb.ServiceTotals `json:"services"`
	LastDay  []gatedb.ServiceTotals `json:"last_day"` // of what was asked for in 24 hours
	Live     *Live                  `json:"live"`     // nil when no gate runs
}

// ReadStats sums the records up, and asks the running gate, if there is one,
// for what it counts.
func ReadStats(ctx context.Context, home config.Home, configFlag string) (Stats, error) {
	var s Stats
	db, f, err := openRecords(ctx, home, configFlag)
	if err != nil {
		return s, err
	}
	s.Running = f.running
	s.Services, err = db.TotalsByService(ctx, time.Time{})
	if err == nil {
		s.LastDay, err = db.TotalsByService(ctx, time.Now().Add(-24*time.Hour))
	}
	if err := errors.Join(err, db.Close()); err != nil || !s.Running {
		return s, err
	}
	s.Live = new(Live)
	return s, callControl(ctx, home, controlLive, s.Live)
}

// ServiceView is a service for its owner.
type ServiceView struct {
	Name     string   `json:"name"`
	PriceSat int64    `json:"price_sat"` // 0: free
	Schemes  []string `json:"schemes"`
	Host     string   `json:"host"` // regular expressions, empty for everything
	Path     string   `json:"path"`
	Backend  string   `json:"backend"`

	FreePaths    []string `json:"free_paths"`
	FreeRequests int      `json:"free_requests"` // of each client
	TokenSeconds int64    `json:"token_seconds"` // 0: for ever
	Capabilities []string `json:"capabilities"`
	Shadow       bool     `json:"shadow"`
}

// Services returns what the gate sells: the running one, or by its
// configuration.
func Services(ctx context.Context, home config.Home, configFlag string) ([]ServiceView, error) {
	f, err := findGate(home, configFlag)
	if err != nil {
		return nil, err
	}
	if !f.running {
		return f.cfg.views(), nil
	}
	var views []ServiceView
	err = callControl(ctx, home, controlServices, &views)
	return views, err
}

// views are the services for their owner.
func (c *Config) views() []ServiceView {
	views := make([]ServiceView, len(c.Services))
	for i, s := range c.Services {
		views[i] = ServiceView{
			Name: string(s.Name), PriceSat: c.charged(s), Schemes: s.AuthScheme.names(),
			Host: s.HostRegexp.String(), Path: s.PathRegexp.String(), Backend: string(s.Protocol) + "://" + s.Address,
			FreePaths: sources(s.AuthWhitelistPaths), FreeRequests: s.Auth.free, TokenSeconds: int64(s.Timeout),
			Capabilities: append([]string{}, s.capabilities()...), Shadow: s.Shadow,
		}
		if views[i].PriceSat == 0 {
			views[i].Schemes = []string{}
		}
	}
	return views
}

// charged is the price of a token in sat, 0 when the service is free.
func (c *Config) charged(s *Service) int64 {
	if s.Auth.off || c.Authenticator.Disable {
		return 0
	}
	return int64(s.Price)
}

// sources are the expressions' texts.
func sources(patterns []pattern) []string {
	texts := []string{}
	for _, p := range patterns {
		texts = append(texts, p.String())
	}
	return texts
}
