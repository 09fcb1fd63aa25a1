-- Sessions of senders. Prosody routes a stanza for the session of a connected client. A sender of this module has no client, so
-- this file makes a session for it.

local jid_resource = require "util.jid".resource;
local new_id = require "util.id".medium;
local st = require "util.stanza";

local guard = module.import "guard";
local server = module.import "prosody";
local show = module.import "display".show;

-- An address of the sender with a resource that no client has.
local function new_address(sender) --> string
	return sender.account.."/post_msg."..new_id();
end

-- `address`: the address from which the sender sends. `receive`, if not nil, is called with each stanza that Prosody sends to the session
-- itself, such as an error about the stanza that is being routed.
local function new(sender, address, receive) --> session
	local session = {
		type = "c2s"; username = sender.username; host = sender.host; resource = jid_resource(address); full_jid = address;
		secure = true; log = server.log; role = sender.role;
	};
	function session.send(stanza)
		if receive then receive(stanza); end
		return true;
	end
	return session;
end

-- Routes a stanza as the session's client would. `task` names the call in the log if it fails: a noun with its object.
local function route(session, stanza, task) --> true; or nil, problem
	return guard.call(task, server.route, session, stanza, true);
end

-- Sends an IQ of type "get": `query` is { to, payload, seconds }. `receive` is called once: with the answer, a stanza of type "result" or
-- "error", or with nil if there is no answer within the seconds.
local function ask(session, query, receive)
	local iq = st.iq({ type = "get"; from = session.full_jid; to = query.to; id = new_id() }):add_child(query.payload);
	local ok = guard.call("The IQ of "..session.full_jid.." to "..show(query.to), function ()
		module:context(session.host):send_iq(iq, session, query.seconds):next(function (event)
			receive(event.stanza);
		end, function (problem)
			receive(type(problem) == "table" and problem.context and problem.context.stanza or nil);
		end);
	end);
	if not ok then receive(nil); end
end

return { new = new; new_address = new_address; route = route; ask = ask };
