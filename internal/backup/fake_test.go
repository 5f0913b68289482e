package backup

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/lightningnetwork/lnd/lnrpc"
	"google.golang.org/grpc"
)

// fakeLnd is an lnd whose backups are "key:" and its channels, joined by commas.
type fakeLnd struct {
	lnrpc.LightningClient
	open, closed, closing []string
	restored              []string
	away                  error // of RestoreChannelBackups
	stopped               bool
}

const key = "key:"

func pack(channels ...string) []byte { return []byte(key + strings.Join(channels, ",")) }

func unpack(multi []byte) ([]string, error) {
	list, ok := strings.CutPrefix(string(multi), key)
	if !ok {
		return nil, errors.New("invalid multi channel backup: chacha20poly1305: message authentication failed")
	}
	return strings.FieldsFunc(list, func(r rune) bool { return r == ',' }), nil
}

func (l *fakeLnd) VerifyChanBackup(_ context.Context, r *lnrpc.ChanBackupSnapshot, _ ...grpc.CallOption) (*lnrpc.VerifyChanBackupResponse, error) {
	channels, err := unpack(r.MultiChanBackup.MultiChanBackup)
	return &lnrpc.VerifyChanBackupResponse{ChanPoints: channels}, err
}

func (l *fakeLnd) ExportAllChannelBackups(context.Context, *lnrpc.ChanBackupExportRequest, ...grpc.CallOption) (*lnrpc.ChanBackupSnapshot, error) {
	return &lnrpc.ChanBackupSnapshot{MultiChanBackup: &lnrpc.MultiChanBackup{MultiChanBackup: pack(l.open...)}}, nil
}

func (l *fakeLnd) ClosedChannels(context.Context, *lnrpc.ClosedChannelsRequest, ...grpc.CallOption) (*lnrpc.ClosedChannelsResponse, error) {
	r := new(lnrpc.ClosedChannelsResponse)
	for _, c := range l.closed {
		r.Channels = append(r.Channels, &lnrpc.ChannelCloseSummary{ChannelPoint: c})
	}
	return r, nil
}

func (l *fakeLnd) PendingChannels(context.Context, *lnrpc.PendingChannelsRequest, ...grpc.CallOption) (*lnrpc.PendingChannelsResponse, error) {
	r := new(lnrpc.PendingChannelsResponse)
	for _, c := range l.closing {
		r.PendingForceClosingChannels = append(r.PendingForceClosingChannels, &lnrpc.PendingChannelsResponse_ForceClosedChannel{
			Channel: &lnrpc.PendingChannelsResponse_PendingChannel{ChannelPoint: c}})
	}
	for _, c := range l.restored {
		r.WaitingCloseChannels = append(r.WaitingCloseChannels, &lnrpc.PendingChannelsResponse_WaitingCloseChannel{
			Channel: &lnrpc.PendingChannelsResponse_PendingChannel{ChannelPoint: c}})
	}
	return r, nil
}

func (l *fakeLnd) ListChannels(context.Context, *lnrpc.ListChannelsRequest, ...grpc.CallOption) (*lnrpc.ListChannelsResponse, error) {
	r := new(lnrpc.ListChannelsResponse)
	for _, c := range l.open {
		r.Channels = append(r.Channels, &lnrpc.Channel{ChannelPoint: c})
	}
	return r, nil
}

// RestoreChannelBackups restores one channel a call and then fails, as an lnd without
// a chain does.
func (l *fakeLnd) RestoreChannelBackups(_ context.Context, r *lnrpc.RestoreChanBackupRequest, _ ...grpc.CallOption) (*lnrpc.RestoreBackupResponse, error) {
	channels, err := unpack(r.GetMultiChanBackup())
	if err != nil || l.away != nil {
		return nil, errors.Join(err, l.away)
	}
	if len(l.restored) < len(channels) {
		l.restored = channels[:len(l.restored)+1]
		return nil, errors.New("this lnd has no chain")
	}
	return &lnrpc.RestoreBackupResponse{NumRestored: uint32(len(channels))}, nil
}

func (l *fakeLnd) StopDaemon(context.Context, *lnrpc.StopRequest, ...grpc.CallOption) (*lnrpc.StopResponse, error) {
	l.stopped = true
	return &lnrpc.StopResponse{}, nil
}

var alice = Owner{Network: "regtest", Key: "02aa"}

// begun is a folder of alice's with a copy of these channels.
func begun(t *testing.T, channels ...string) Folder {
	t.Helper()
	f := Folder(t.TempDir())
	if err := f.Begin(Owner{Network: alice.Network}); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Keep(t.Context(), &fakeLnd{}, alice, pack(channels...)); err != nil {
		t.Fatal(err)
	}
	return f
}
