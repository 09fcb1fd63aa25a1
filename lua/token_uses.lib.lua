-- Records when each sending token was last used. A use is an entry of its own in the store of tokens, so that a loss of power while it is
-- written cannot damage the token.

local expiring_cache = module.import "expiring_cache";

local max_waiting = 100; -- uses that are not stored yet
local interval = 60; -- seconds after a use in which further uses of the token are not recorded
local pause = 0.02; -- seconds between two writes

local token_uses = {};
token_uses.__index = token_uses;

-- `context` is the module API of the host, `tokens` its store of tokens.
function token_uses.new(context, tokens) --> uses
	return setmetatable({
		context = context; tokens = tokens;
		unstored_uses = {}; -- id → when it was used (seconds since the epoch)
		waiting_timers = 0; -- timers that will store a use
		recent_uses = expiring_cache.new(10000, interval); -- id → true, if a use was recorded within the interval
	}, token_uses);
end

-- The name of the entry. It has a hyphen, and the name of a token has none.
local function entry_of(id) return id.."-used"; end

function token_uses:store(id)
	local used = self.unstored_uses[id];
	self.unstored_uses[id] = nil;
	-- If prosodyctl has revoked the token meanwhile, the daily timer deletes this entry.
	if used then self.tokens:set(entry_of(id), { used = used }); end
end

-- Writing takes longer than a request should, so uses are stored later, one at a time, and the event loop does other work in between.
-- While many uses wait, further uses are not recorded.
function token_uses:note(id, now)
	if self.waiting_timers >= max_waiting or self.recent_uses:get(id) then return; end
	self.recent_uses:set(id, true);
	self.waiting_timers = self.waiting_timers + 1;
	self.unstored_uses[id] = now;
	self.context:add_timer(pause * self.waiting_timers, function ()
		self.waiting_timers = self.waiting_timers - 1;
		self:store(id);
	end);
end

function token_uses:last(id) --> seconds since the epoch, or nil
	return self.unstored_uses[id] or (self.tokens:get(entry_of(id)) or {}).used;
end

function token_uses:forget(id)
	self.unstored_uses[id] = nil;
	self.tokens:set(entry_of(id), nil);
end

return token_uses;
