-- Servers to which an account's messages open connections. A server that does not answer keeps its connection, and a file
-- descriptor of this one, until it times out: one account must not use up all of them.

local cache = require "util.cache";
local now = require "util.time".monotonic;

local hosts = prosody.hosts;

local most = 200; -- servers of an account in a minute
local minute = 60; -- seconds

local by_account = cache.new(1000); -- account → { began, count, domains }

-- Counts a server to which there is no connection yet.
local function count(sender, domain) --> whether the account may reach it now, or the seconds until it may
	if hosts[domain] or hosts[sender.host].s2sout[domain] then return true; end
	local time, reached = now(), by_account:get(sender.account);
	if not reached or time - reached.began >= minute then
		reached = { began = time; count = 0; domains = {} };
		by_account:set(sender.account, reached);
	end
	if reached.domains[domain] then return true; end
	if reached.count >= most then return false, math.ceil(reached.began + minute - time); end
	reached.count = reached.count + 1;
	reached.domains[domain] = true;
	return true;
end

return { count = count; most = most };
