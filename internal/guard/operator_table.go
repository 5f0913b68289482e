package guard

// effect is what a method of lnd does, as far as an operator's call of it is
// concerned.
type effect int

const (
	// reads changes nothing: it passes unseen.
	reads effect = iota

	// changes is journalled before it reaches lnd.
	changes

	// power gives or takes power over the node or destroys what is known of
	// payments: its outcome is journalled as well.
	power

	// moves is money on its way out, to somebody else or into a channel, or a
	// signature that lets it go: its outcome is journalled as well, and it is
	// refused while everything is frozen.
	moves
)

// operation is what the guard knows of a method.
type operation struct {
	effect effect

	// pays means that lnd may go on with it when the call has ended.
	pays bool

	// often means that strangers can bring any number of such calls about. The
	// journal says how many: see tallies.
	often bool

	decode decoder
}

// operations are the methods that lnd's own permissions do not place rightly,
// and those with details worth a line in the journal. Every state-changing
// method of lnd 0.21 is here, with why it moves money or why not.
var operations = map[string]operation{
	// Payments.
	"/routerrpc.Router/SendPaymentV2": {effect: moves, pays: true, decode: asksSendPayment},
	"/routerrpc.Router/SendToRouteV2": {effect: moves, pays: true, decode: asksSendToRoute},

	// On-chain payments, and signatures that are as good as one.
	"/lnrpc.Lightning/SendCoins":              {effect: moves, decode: asksSendCoins},
	"/lnrpc.Lightning/SendMany":               {effect: moves, decode: asksSendMany},
	"/walletrpc.WalletKit/SendOutputs":        {effect: moves, decode: asksSendOutputs},
	"/walletrpc.WalletKit/SignPsbt":           {effect: moves},
	"/walletrpc.WalletKit/FinalizePsbt":       {effect: moves},
	"/walletrpc.WalletKit/PublishTransaction": {effect: moves},
	"/walletrpc.WalletKit/SubmitPackage":      {effect: moves},
	"/signrpc.Signer/SignOutputRaw":           {effect: moves},
	"/signrpc.Signer/ComputeInputScript":      {effect: moves},
	"/signrpc.Signer/MuSig2Sign":              {effect: moves},
	"/signrpc.Signer/MuSig2CombineSig":        {effect: moves},
	// A schnorr signature over a message may be one over a transaction's hash.
	"/signrpc.Signer/SignMessage": {effect: moves},
	// Fees go to miners: a budget of the wallet's coins is spent.
	"/walletrpc.WalletKit/BumpFee": {effect: moves},
	// Speeds up a close by force, which is allowed.
	"/walletrpc.WalletKit/BumpForceCloseFee": {effect: changes},

	// Channels. Opening locks funds up and may give some away (push_sat); a
	// close with the other side's consent pays to an address of the caller's
	// choice (delivery_address), one by force only to the node's own wallet.
	"/lnrpc.Lightning/OpenChannel":      {effect: moves, decode: asksOpenChannel},
	"/lnrpc.Lightning/OpenChannelSync":  {effect: moves, decode: asksOpenChannel},
	"/lnrpc.Lightning/BatchOpenChannel": {effect: moves, decode: asksBatchOpenChannel},
	"/lnrpc.Lightning/FundingStateStep": {effect: moves},
	"/lnrpc.Lightning/CloseChannel":     {effect: moves, decode: asksCloseChannel},
	// Forgets a channel and with it what the node has in it.
	"/lnrpc.Lightning/AbandonChannel": {effect: moves, decode: asksAbandonChannel},
	// Has the other side close by force: the way back after a loss.
	"/lnrpc.Lightning/RestoreChannelBackups": {effect: power},
	// The autopilot opens channels; scores alone do not.
	"/autopilotrpc.Autopilot/ModifyStatus": {effect: moves},
	"/autopilotrpc.Autopilot/SetScores":    {effect: changes},
	// Says yes to channels that others pay for.
	"/lnrpc.Lightning/ChannelAcceptor": {effect: changes},
	// May resume a forward with a larger amount than came in.
	"/routerrpc.Router/HtlcInterceptor": {effect: moves},

	// Invoices bring money in, or keep it out.
	"/lnrpc.Lightning/AddInvoice":            {effect: changes, often: true, decode: asksAddInvoice},
	"/invoicesrpc.Invoices/AddHoldInvoice":   {effect: changes, decode: asksAddHoldInvoice},
	"/invoicesrpc.Invoices/CancelInvoice":    {effect: changes, often: true, decode: asksCancelInvoice},
	"/invoicesrpc.Invoices/SettleInvoice":    {effect: changes, decode: asksSettleInvoice},
	"/lnrpc.Lightning/DeleteCanceledInvoice": {effect: changes},
	"/invoicesrpc.Invoices/HtlcModifier":     {effect: changes},

	// What is known of payments.
	"/lnrpc.Lightning/DeletePayment":            {effect: power, decode: asksDeletePayment},
	"/lnrpc.Lightning/DeleteAllPayments":        {effect: power, decode: asksDeleteAllPayments},
	"/routerrpc.Router/DeleteForwardingHistory": {effect: power},

	// Power over the node.
	"/lnrpc.Lightning/BakeMacaroon":     {effect: power, decode: asksBakeMacaroon},
	"/lnrpc.Lightning/DeleteMacaroonID": {effect: power, decode: asksDeleteMacaroonID},
	"/lnrpc.Lightning/StopDaemon":       {effect: power},

	// Parts of protocols whose last step is above, what is only proposed, and
	// proofs that spend nothing.
	"/walletrpc.WalletKit/FundPsbt":               {effect: changes},
	"/walletrpc.WalletKit/LeaseOutput":            {effect: changes},
	"/walletrpc.WalletKit/ReleaseOutput":          {effect: changes},
	"/walletrpc.WalletKit/LabelTransaction":       {effect: changes},
	"/walletrpc.WalletKit/RemoveTransaction":      {effect: changes},
	"/walletrpc.WalletKit/ImportAccount":          {effect: changes},
	"/walletrpc.WalletKit/ImportPublicKey":        {effect: changes},
	"/walletrpc.WalletKit/ImportTapscript":        {effect: changes},
	"/walletrpc.WalletKit/SignMessageWithAddr":    {effect: changes},
	"/lnrpc.Lightning/SignMessage":                {effect: changes},
	"/lnrpc.Lightning/NewAddress":                 {effect: changes},
	"/signrpc.Signer/MuSig2CreateSession":         {effect: changes},
	"/signrpc.Signer/MuSig2RegisterNonces":        {effect: changes},
	"/signrpc.Signer/MuSig2RegisterCombinedNonce": {effect: changes},
	"/signrpc.Signer/MuSig2Cleanup":               {effect: changes},
	"/signrpc.Signer/DeriveSharedKey":             {effect: changes},

	// How the node routes and talks, what it charges, whom it watches.
	"/lnrpc.Lightning/UpdateChannelPolicy":           {effect: changes, decode: asksUpdatePolicy},
	"/lnrpc.Lightning/ConnectPeer":                   {effect: changes, decode: asksConnectPeer},
	"/lnrpc.Lightning/DisconnectPeer":                {effect: changes},
	"/lnrpc.Lightning/DebugLevel":                    {effect: changes},
	"/lnrpc.Lightning/SendCustomMessage":             {effect: changes},
	"/lnrpc.Lightning/SendOnionMessage":              {effect: changes},
	"/routerrpc.Router/ResetMissionControl":          {effect: changes},
	"/routerrpc.Router/SetMissionControlConfig":      {effect: changes},
	"/routerrpc.Router/XImportMissionControl":        {effect: changes},
	"/routerrpc.Router/UpdateChanStatus":             {effect: changes},
	"/routerrpc.Router/XAddLocalChanAliases":         {effect: changes},
	"/routerrpc.Router/XDeleteLocalChanAliases":      {effect: changes},
	"/peersrpc.Peers/UpdateNodeAnnouncement":         {effect: changes},
	"/neutrinorpc.NeutrinoKit/AddPeer":               {effect: changes},
	"/neutrinorpc.NeutrinoKit/DisconnectPeer":        {effect: changes},
	"/wtclientrpc.WatchtowerClient/AddTower":         {effect: changes},
	"/wtclientrpc.WatchtowerClient/DeactivateTower":  {effect: changes},
	"/wtclientrpc.WatchtowerClient/RemoveTower":      {effect: changes},
	"/wtclientrpc.WatchtowerClient/TerminateSession": {effect: changes},
	"/devrpc.Dev/ImportGraph":                        {effect: changes},
	"/devrpc.Dev/Quiesce":                            {effect: changes},

	// Look-ups that lnd counts as writes.
	"/invoicesrpc.Invoices/LookupInvoiceV2":      {effect: reads},
	"/walletrpc.WalletKit/VerifyMessageWithAddr": {effect: reads},
}

// operation returns what the guard knows of the method; ok is false for one that
// lnd does not offer. A state-changing method that is not in the table, of a
// newer lnd, moves money unless its permission says that it cannot.
func (a *attachment) operation(method string) (op operation, ok bool) {
	needs, ok := a.permissions[method]
	if !ok {
		return operation{}, false
	}
	if op, ok = operations[method]; !ok {
		op.effect = effectOf(needs)
	}
	if op.decode == nil {
		op.decode = undecoded
	}
	return op, true
}

// harmless are the entities, in lnd's permissions, whose writing moves no money.
var harmless = map[string]effect{
	"info": changes, "invoices": changes, "peers": changes, "address": changes, "message": changes,
	"macaroon": power,
}

func effectOf(needs []permission) effect {
	worst := reads
	if len(needs) == 0 {
		worst = moves
	}
	for _, p := range needs {
		if p.action == "read" {
			continue
		}
		e, ok := harmless[p.entity]
		if !ok {
			e = moves
		}
		worst = max(worst, e)
	}
	return worst
}
