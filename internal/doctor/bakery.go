package doctor

import (
	"context"
	"errors"
	"io/fs"
	"strconv"
	"time"

	"github.com/leydenln/leyden/internal/bakery"
)

// macaroonAge is how old a macaroon may be before another one is advised.
const macaroonAge = 365 * 24 * time.Hour

// checkBaked looks at what leyden bake has recorded of the macaroons it made.
func checkBaked(_ context.Context, e *Env) (found []Finding) {
	records, err := bakery.List(e.Home.Bakery())
	switch {
	case errors.Is(err, fs.ErrPermission):
		return []Finding{unseen(e.asOperator(), "cannot read which macaroons were baked: %v", err)}
	case err != nil:
		return []Finding{failed(err, "the records of baked macaroons")}
	}
	var forever []string
	for _, r := range records {
		revoke := "leyden bake revoke --root-key-id " + strconv.FormatUint(r.RootKeyID, 10)
		switch {
		case r.Replaces != 0:
			found = append(found, fail("leyden bake revoke --root-key-id "+strconv.FormatUint(r.Replaces, 10),
				"the macaroon %s was rotated, but the one before it still works", r.File))
		case r.Expires != nil && e.Now.After(*r.Expires):
			found = append(found, info(revoke, "the %s macaroon %s has expired on %s", r.Role, r.File, r.Expires.UTC().Format(time.DateOnly)))
		case e.Now.Sub(r.Made) > macaroonAge:
			found = append(found, info("leyden bake rotate "+r.File, "the %s macaroon %s is %d days old", r.Role, r.File, int(e.Now.Sub(r.Made).Hours()/24)))
		case r.Expires == nil:
			forever = append(forever, r.File)
		}
	}
	if len(forever) > 0 {
		found = append(found, info("leyden bake --role ROLE --expires 90d", "%d baked macaroons never expire: %s", len(forever), few(forever)))
	}
	if len(found) == 0 && len(records) > 0 {
		found = append(found, ok("%d baked macaroons are in use, and expire", len(records)))
	}
	return found
}
