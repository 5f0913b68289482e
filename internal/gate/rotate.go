package gate

import (
	"context"
	"errors"
	"path/filepath"

	"github.com/leydenln/leyden/internal/config"
	"github.com/leydenln/leyden/internal/files"
	"github.com/leydenln/leyden/internal/store/gatedb"
	"github.com/leydenln/leyden/l402"
)

// Rotation is what became of the master keys.
type Rotation struct {
	// KeyID is the new key's, which mints from now on.
	KeyID string `json:"key_id"`

	// Kept are how many older keys still verify, Dropped how many do not.
	Kept    int `json:"kept"`
	Dropped int `json:"dropped"`
}

// RotateKey makes a new master key, in the running gate if there is one. With
// dropOld every token sold so far becomes worthless.
func RotateKey(ctx context.Context, home config.Home, configFlag string, dropOld bool) (Rotation, error) {
	var r Rotation
	f, err := findGate(home, configFlag)
	if err != nil {
		return r, err
	}
	if f.running {
		call := controlRotate
		if dropOld {
			call += "?drop=old"
		}
		err := callControl(ctx, home, call, &r)
		return r, err
	}
	if err := files.MkdirPrivate(f.cfg.BaseDir); err != nil {
		return r, err
	}
	lock, err := f.cfg.lock() // no gate may start meanwhile
	if err != nil {
		return r, err
	}
	known, err := f.cfg.knownKeys(ctx)
	if err == nil {
		r, err = replaceKeys(filepath.Join(f.cfg.BaseDir, keyFile), known, dropOld)
	}
	return r, errors.Join(err, lock.Release())
}

// knownKeys returns the keys that have minted before, by the records, if there
// are any.
func (c *Config) knownKeys(ctx context.Context) ([]l402.KeyID, error) {
	if missing(c.SQLite.DBFile) {
		return nil, nil
	}
	db, err := gatedb.Open(ctx, c.SQLite.DBFile)
	if err != nil {
		return nil, err
	}
	known, err := db.Keys(ctx)
	return known, errors.Join(err, db.Close())
}

// rotate makes a new master key and mints with it at once.
func (g *Gate) rotate(ctx context.Context, dropOld bool) (Rotation, error) {
	g.reloading.Lock()
	defer g.reloading.Unlock()
	cfg := g.now.Load().cfg
	known, err := g.db.Keys(ctx)
	if err != nil {
		return Rotation{}, err
	}
	r, err := replaceKeys(filepath.Join(cfg.BaseDir, keyFile), known, dropOld)
	if err != nil {
		return r, err
	}
	keys, err := g.openKeys(ctx, cfg)
	if err != nil {
		return r, err
	}
	if g.seller != nil {
		err = g.seller.Update(g.sellerConfig(cfg, keys))
	}
	g.log.Info("a new master key mints", "key", r.KeyID, "dropped", r.Dropped)
	return r, err
}
