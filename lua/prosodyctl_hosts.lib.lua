-- The hosts with this module, in the process of prosodyctl.
-- COMPAT What differs between Prosody 0.12 and 13 for a command of prosodyctl is here.

local modulemanager = require "core.modulemanager";
local new_events = require "util.events".new;
local storagemanager = require "core.storagemanager";
local usermanager = require "core.usermanager";

local loader = module.import "loader";
local settings = module.import "settings";
local token_store = module.import "token_store";

local hosts = {};

local function has_module(host, session) --> boolean
	-- Prosody 13 has "*" among the hosts, as the host of this command. A module that is loaded there is not loaded on the others.
	return host ~= "*" and session.type == "local" and modulemanager.get_modules_for_host(host):contains(module.name);
end

-- The names of the hosts, in alphabetical order.
function hosts.names() --> list
	local names = {};
	for host, session in pairs(prosody.hosts) do
		if has_module(host, session) then names[#names + 1] = host; end
	end
	table.sort(names);
	return names;
end

function hosts.settings(host) --> settings
	return settings.load(module:context(host), loader.stop);
end

-- In prosodyctl, a host has no storage and no accounts until they are asked for. All hosts share their events, so each is given events of
-- its own, or it would get the storage and accounts of the others.
local function prepare(host, session)
	session.events = new_events();
	storagemanager.initialize_host(host);
	usermanager.initialize_host(host);
end

function hosts.tokens(host) --> store of tokens, or nil if the host does not have this module
	local session = prosody.hosts[host];
	if not session or not has_module(host, session) then return nil; end
	prepare(host, session);
	return token_store.new(module:context(host), { new_token = loader.load().new_token; limit = hosts.settings(host).token_limit });
end

function hosts.has_account(host, username) --> boolean
	return usermanager.get_provider(host).user_exists(username);
end

return hosts;
