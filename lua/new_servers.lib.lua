-- Limits the number of other servers to which an account's messages open connections. A server that does not answer keeps its
-- connection, and a file descriptor of this server, until it times out: one account must not use up all of them.

local cache = require "util.cache";

local expiring_cache = module.import "expiring_cache";
local rates = module.import "rates";
local server = module.import "prosody";

local hosts = prosody.hosts;

local most = 200; -- servers of an account in any minute
local minute = 60; -- seconds
local most_accounts = 1000; -- accounts that are counted at once

local by_account = expiring_cache.new(most_accounts, minute); -- account → { rate, domains }

local function reached_by(account) --> { rate, domains }
	local reached = by_account:get(account);
	if not reached then
		-- domain → its entry of the rate
		reached = { rate = rates.new(most, minute); domains = cache.new(most) };
	end
	by_account:set(account, reached);
	return reached;
end

-- Counts a server to which there is no connection yet. A server counts once in a minute.
local function count(sender, domain) --> whether the account may reach it now; if not, the seconds until it may
	if hosts[domain] or server.is_connected(sender.host, domain) then return true; end
	local reached = reached_by(sender.account);
	local known = reached.domains:get(domain);
	if known and reached.rate:counts(known) then return true; end
	local entry, seconds = reached.rate:take(1);
	if not entry then return false, seconds; end
	reached.domains:set(domain, entry);
	return true;
end

return { count = count; most = most };
