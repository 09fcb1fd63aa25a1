-- Limits the number of other servers to which an account's messages open connections. A server that does not answer keeps its
-- connection, and a file descriptor of this server, until it times out: one account must not use all file descriptors.

local cache = require "util.cache";

local expiring_cache = module.import "expiring_cache";
local rates = module.import "rates";
local server = module.import "prosody";

local hosts = prosody.hosts;

local limit = 200; -- servers of an account in any minute
local minute = 60; -- seconds
local max_accounts = 1000; -- accounts that are counted at once

local by_account = expiring_cache.new(max_accounts, minute); -- account → { rate, domains }

local function servers_of(account) --> { rate, domains }
	local servers = by_account:get(account);
	if not servers then
		-- domain → its entry of the rate
		servers = { rate = rates.new(limit, minute); domains = cache.new(limit) };
	end
	by_account:set(account, servers);
	return servers;
end

-- Counts a server to which there is no connection yet. A server counts once in a minute.
local function count(sender, domain) --> whether the account may reach it now; if not, the seconds until it may
	if hosts[domain] or server.is_connected(sender.host, domain) then return true; end
	local servers = servers_of(sender.account);
	local known = servers.domains:get(domain);
	if known and servers.rate:is_current(known) then return true; end
	local entry, seconds = servers.rate:take(1);
	if not entry then return false, seconds; end
	servers.domains:set(domain, entry);
	return true;
end

return { count = count; limit = limit };
