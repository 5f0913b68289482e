package mailbox

import "github.com/leydenln/leyden/lnc/hashmailrpc"

// What gRPC, REST and WebSockets have in common.

// checked returns the box that a request names.
func checked(desc *hashmailrpc.CipherBoxDesc) (ID, error) {
	switch {
	case desc == nil:
		return ID{}, errNoDesc
	case len(desc.GetStreamId()) == 0:
		return ID{}, errNoStreamID
	}
	return newID(desc.GetStreamId()), nil
}

// paced delays a call by its client's rate; making and deleting boxes counts
// like a message.
func (r *Relay) paced(c call, auth *hashmailrpc.CipherBoxAuth) (ID, error) {
	id, err := checked(auth.GetDesc())
	if err == nil && auth.GetAuth() == nil {
		err = errNoAuth
	}
	if err != nil {
		return ID{}, err
	}
	return id, r.delay(c)
}

func (r *Relay) newCipherBox(c call, auth *hashmailrpc.CipherBoxAuth) (*hashmailrpc.CipherInitResp, error) {
	id, err := r.paced(c, auth)
	if err != nil {
		return nil, err
	}
	if err := r.create(id, c.from); err != nil {
		return nil, err
	}
	return &hashmailrpc.CipherInitResp{
		Resp: &hashmailrpc.CipherInitResp_Success{Success: &hashmailrpc.CipherSuccess{}},
	}, nil
}

func (r *Relay) delCipherBox(c call, auth *hashmailrpc.CipherBoxAuth) (*hashmailrpc.DelCipherBoxResp, error) {
	id, err := r.paced(c, auth)
	if err != nil {
		return nil, err
	}
	return &hashmailrpc.DelCipherBoxResp{}, r.remove(id)
}

// fillNamed opens the box that the first message of a stream names.
func (r *Relay) fillNamed(c call, desc *hashmailrpc.CipherBoxDesc) (*writer, error) {
	id, err := checked(desc)
	if err != nil {
		return nil, err
	}
	return r.fill(c, id, c.from)
}

func (r *Relay) emptyNamed(c call, desc *hashmailrpc.CipherBoxDesc) (*reader, error) {
	id, err := checked(desc)
	if err != nil {
		return nil, err
	}
	return r.empty(c, id)
}
