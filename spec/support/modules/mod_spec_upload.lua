-- A component that is an upload service (XEP-0363). `prosody.spec_slot`, a function set by a spec, makes the answer to a
-- request for a slot; it is given the request.

local st = require "util.stanza";

module:depends("disco");
module:add_feature("urn:xmpp:http:upload:0");

module:hook("iq/host", function (event)
	local stanza = event.stanza;
	if not stanza:get_child("request", "urn:xmpp:http:upload:0") then return nil; end
	event.origin.send(prosody.spec_slot(stanza, st));
	return true;
end);
