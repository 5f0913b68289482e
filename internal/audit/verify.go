package audit

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/leydenln/leyden/internal/store/guarddb"
)

// maxFaults is how many faults Verify names before it gives up.
const maxFaults = 100

var errTooMany = errors.New("too many faults")

// Verify reads the whole chain and returns its head and what is wrong with it
// in sentences, none when all is well. Each head in noted, of an earlier time,
// must still be in the chain. The error says that the journal cannot be read.
func (j *Journal) Verify(ctx context.Context, noted ...Head) (Head, []string, error) {
	v := verifier{noted: map[int64][]Head{}}
	for _, h := range noted {
		v.noted[h.Seq] = append(v.noted[h.Seq], h)
	}
	v.compare(Head{})
	err := j.rows(ctx, Query{After: math.MinInt64}, v.entry)
	if errors.Is(err, errTooMany) {
		return v.head, append(v.faults, fmt.Sprintf("the journal was not read beyond entry %d", v.head.Seq)), nil
	}
	if err != nil {
		return Head{}, nil, err
	}
	for seq := range v.noted {
		v.fault("entries %d to %d, which were there when the head was noted, are gone", v.head.Seq+1, seq)
	}
	return v.head, v.faults, nil
}

type verifier struct {
	head   Head
	faults []string
	noted  map[int64][]Head // not yet come by
}

func (v *verifier) fault(format string, args ...any) {
	v.faults = append(v.faults, fmt.Sprintf(format, args...))
}

func (v *verifier) entry(row guarddb.Journal) error {
	next := Head{Seq: row.Seq, Hash: previous(row.Hash)}
	switch missing := v.head.Seq + 1; {
	case row.Seq < missing:
		v.fault("entry %d does not belong here: the first is 1", row.Seq)
	case row.Seq == missing+1:
		v.fault("entry %d is missing", missing)
	case row.Seq > missing:
		v.fault("entries %d to %d are missing", missing, row.Seq-1)
	case len(row.Hash) != len(Hash{}) || chain(v.head.Hash, row) != next.Hash:
		v.fault("entry %d (%s): its hash does not fit what it says and entry %d before it; one of them was altered",
			row.Seq, row.Kind, v.head.Seq)
	}
	v.head = next
	v.compare(next)
	if len(v.faults) >= maxFaults {
		return errTooMany
	}
	return nil
}

// compare holds an entry against the heads noted of it.
func (v *verifier) compare(now Head) {
	for _, h := range v.noted[now.Seq] {
		if h.Hash != now.Hash {
			v.fault("entry %d has the hash %s and not the one that was noted: the journal was written anew up to there",
				now.Seq, now.Hash)
		}
	}
	delete(v.noted, now.Seq)
}
