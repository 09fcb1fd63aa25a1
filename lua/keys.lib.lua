-- Idempotency keys: a request that comes again is answered as the first time, and sends nothing.

local cache = require "util.cache";
local sha256 = require "util.hashes".sha256;

local native, requests; -- given to init

local kept_for = 24 * 60 * 60; -- seconds
local kept_at_most = 100000; -- keys of an account
local tidied_every = 60 * 60; -- seconds
local small = 4096; -- bytes of an answer that is kept in memory too

-- One entry for each key, named by the day on which it was made and hashes of account and key, so
-- that finding one costs as much whatever their number, and whole days can be dropped by name.
local store = module:open_store("post_msg_keys");
local recent = cache.new(1000); -- what was found lately
local under_way = {}; -- name → the coroutine of the request
local counts; -- hash of an account → its keys that are kept, nearly

local function day_of(time)
	return math.floor(time / kept_for);
end

local function entry_name(day, name)
	return ("%d-%s"):format(day, name);
end

local function find(name) --> entry; or nil and an error
	local now = os.time();
	local entry = recent:get(name);
	for day = day_of(now), day_of(now) - 1, -1 do
		if not entry then
			local err;
			entry, err = store:get(entry_name(day, name));
			if not entry and err then return nil, err; end
		end
	end
	-- A store that keeps nothing gives empty entries.
	if entry and entry.time and now - entry.time < kept_for then
		return entry;
	end
end

-- Drops the days that are over and counts the keys that are kept, a few at a time.
local function tidy()
	local ok, names, state, name = pcall(store.users, store);
	if not ok or type(names) ~= "function" then return; end
	local first = day_of(os.time()) - 1;
	local kept = {};
	requests.in_slices(function ()
		name = names(state, name);
		if not name then counts = kept; end
		return name;
	end, function (entry)
		local day, account = entry:match("^(%d+)-(%w+)-");
		if day and tonumber(day) < first then
			store:set(entry, nil);
		elseif account then
			kept[account] = (kept[account] or 0) + 1;
		end
	end);
end

local function keep(name, account, entry)
	local body = entry.answer and type(entry.answer) == "table" and entry.answer.body or "";
	local ok, err = store:set(entry_name(day_of(entry.time), name), entry);
	if not ok then
		module:log("warn", "An idempotency key cannot be stored, and may be forgotten: %s", err);
	end
	if not ok or #body <= small then
		recent:set(name, entry);
	end
	counts[account] = (counts[account] or 0) + 1;
end

-- What makes a request the same as another.
local function fingerprint(request) --> string, or nil where the request cannot go on
	local headers = request.headers;
	local digest = native.digest();
	for _, part in ipairs { request.url.path, headers.content_type or "", headers.content_encoding or "", request.body } do
		digest:add(("%d:"):format(#part), 0);
		local at = 0;
		repeat
			at = digest:add(part, at);
			if at and not requests.breathe() then return nil; end
		until not at;
	end
	return digest:finish();
end

local function is_key(key)
	return #key >= 1 and #key <= 255 and not key:find("[^\33-\126]");
end

-- Sends a request once. `send(request, sender)` gives a problem, an answer, and whether anything
-- was sent; where it gives both, the answer is for those who ask again.
local function once(sender, key, request, send) --> problem, answer
	if not is_key(key) then
		return { status = 400; detail = "Idempotency-Key is 1 to 255 visible ASCII characters" };
	end
	if not counts then
		counts = {};
		tidy();
		module:add_timer(tidied_every, function () tidy(); return tidied_every; end);
	end
	local account = sha256(sender.account, true):sub(1, 16);
	local name = account.."-"..sha256(sender.account.."\n"..key, true);
	-- A request that has raised an error does not go on.
	local other = under_way[name];
	if other and coroutine.status(other) ~= "dead" then
		return { status = 409; detail = "a request with this Idempotency-Key is under way; wait for its answer" };
	end
	under_way[name] = coroutine.running();
	local problem, answer, sent;
	local print = fingerprint(request);
	local entry, err = find(name);
	if not print then
		problem = requests.unloaded;
	elseif err then
		module:log("error", "Idempotency keys cannot be read: %s", err);
		problem = { status = 503; detail = "it cannot be told now whether this Idempotency-Key was used; try again" };
	elseif entry and entry.fingerprint ~= print then
		problem = { status = 422; detail = "this Idempotency-Key was used for another request; use a new one" };
	elseif entry then
		problem, answer = entry.problem, entry.answer;
	elseif (counts[account] or 0) >= kept_at_most then
		problem = { status = 503; detail = "too many idempotency keys of this account are kept; try again later, or without one" };
	else
		problem, answer, sent = send(request, sender);
		if sent then
			keep(name, account, {
				time = os.time(); fingerprint = print; problem = not answer and problem or nil; answer = answer;
			});
		end
	end
	under_way[name] = nil;
	return problem, answer;
end

local function init(the_native, the_requests)
	native, requests = the_native, the_requests;
	return { once = once };
end

return init;
