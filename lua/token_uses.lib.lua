-- When each sending token was used last. A use is an entry of its own in the store of tokens, so that a loss of power while it is
-- written cannot tear the token.

local expiring_cache = module.import "expiring_cache";

local most_waiting = 100; -- uses that are not stored yet
local interval = 60; -- seconds; within this time after a use, further uses of the token are not noted
local pause = 0.02; -- seconds between two writes

local token_uses = {};
token_uses.__index = token_uses;

-- `context` is the module API of the host, `tokens` its store of tokens.
function token_uses.new(context, tokens) --> uses
	return setmetatable({
		context = context; tokens = tokens;
		unstored = {}; -- id → when it was used (seconds since the epoch)
		waiting = 0; -- timers that will store a use
		noted = expiring_cache.new(10000, interval); -- id → true, if a use was noted within the interval
	}, token_uses);
end

-- The name of the entry. It has a hyphen, which the name of a token never has.
local function entry_of(id) return id.."-used"; end

function token_uses:store(id)
	local used = self.unstored[id];
	self.unstored[id] = nil;
	-- If prosodyctl has revoked the token meanwhile, the daily timer deletes this entry.
	if used then self.tokens:set(entry_of(id), { used = used }); end
end

-- Writing takes longer than a request should, so uses are stored later, one at a time, with the event loop free in between. While
-- many wait, a use is not noted; a later use of the same token is.
function token_uses:note(id, now)
	if self.waiting >= most_waiting or self.noted:get(id) then return; end
	self.noted:set(id, true);
	self.waiting = self.waiting + 1;
	self.unstored[id] = now;
	self.context:add_timer(pause * self.waiting, function ()
		self.waiting = self.waiting - 1;
		self:store(id);
	end);
end

function token_uses:last(id) --> seconds since the epoch, or nil
	return self.unstored[id] or (self.tokens:get(entry_of(id)) or {}).used;
end

function token_uses:forget(id)
	self.unstored[id] = nil;
	self.tokens:set(entry_of(id), nil);
end

return token_uses;
