-- The native half's object for this host.

local saslprep = require "util.encodings".stringprep.saslprep;
local jid = require "util.jid";
local st = require "util.stanza";

local config = module.import "config";
local native = module.import "native";
local server = module.import "prosody";
local templates = module.import "templates";

local hosts = prosody.hosts;

return native.host {
	host = module.host;
	base = server.base_path(module.host);
	size_limit = config.size_limit;
	recipient_limit = config.recipient_limit;
	batch_limit = config.batch_limit;
	body_limit = server.body_limit();
	auth_failures = config.auth_failures;
	verify_threads = config.verify_threads;
	templates = templates;
	stanza_metatable = getmetatable(st.stanza("message"));
	prep = jid.prep;
	saslprep = saslprep;
	serves = function (domain)
		return hosts[domain] ~= nil;
	end;
	has_rooms = function (domain)
		return hosts[domain] ~= nil and hosts[domain].modules.muc ~= nil;
	end;
};
