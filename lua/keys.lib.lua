-- Idempotency keys: a request that comes again is answered as the first time, and sends nothing.

local cache = require "util.cache";
local sha256 = require "util.hashes".sha256;
local timer = require "util.timer";

local kept_for = 24 * 60 * 60; -- seconds
local kept_at_most = 100000; -- keys of a host
local tidied_every = 60 * 60; -- seconds

-- One entry for each key, named by the day on which it was made and a hash of sender and key, so
-- that finding one costs as much whatever their number, and whole days can be dropped by name.
local store = module:open_store("post_msg_keys");
local recent = cache.new(10000); -- what was found lately; also keeps those that cannot be stored
local under_way = {};
local count; -- of the keys that are kept, nearly

local function day_of(time)
	return math.floor(time / kept_for);
end

local function entry_name(day, name)
	return ("%d-%s"):format(day, name);
end

local function find(name) --> entry
	local now = os.time();
	local entry = recent:get(name);
	if not entry then
		local today = day_of(now);
		entry = store:get(entry_name(today, name)) or store:get(entry_name(today - 1, name));
	end
	if entry and now - entry.time < kept_for then
		recent:set(name, entry);
		return entry;
	end
end

-- Drops the days that are over and counts the keys that are kept, a few at a time.
local function tidy()
	local first = day_of(os.time()) - 1;
	local names, state, name = store:users();
	local kept = 0;
	timer.add_task(0, function ()
		for _ = 1, 50 do
			name = names(state, name);
			if not name then
				count = kept;
				return nil;
			end
			local day = tonumber(name:match("^(%d+)-"));
			if day and day < first then
				store:set(name, nil);
			else
				kept = kept + 1;
			end
		end
		return 0;
	end);
end

local function keep(name, entry)
	recent:set(name, entry);
	count = count + 1;
	local ok, err = store:set(entry_name(day_of(entry.time), name), entry);
	if not ok then
		module:log("warn", "An idempotency key cannot be stored, and is forgotten with a restart: %s", err);
	end
end

local function is_key(key)
	return #key >= 1 and #key <= 255 and not key:find("[^\33-\126]");
end

-- Sends a request once. `send(request, sender)` gives a problem or an answer, and whether
-- something was sent.
local function once(sender, key, request, send) --> problem, answer
	if not is_key(key) then
		return { status = 400; detail = "Idempotency-Key is 1 to 255 visible ASCII characters" };
	end
	if not count then
		count = 0;
		tidy();
		module:add_timer(tidied_every, function () tidy(); return tidied_every; end);
	end
	local headers = request.headers;
	local name = sha256(sender.account.."\n"..key, true);
	local fingerprint = sha256(table.concat({
		#request.url.path, request.url.path, headers.content_type or "", headers.content_encoding or "", request.body,
	}, "\n"), true);
	local entry = find(name);
	if entry then
		if entry.fingerprint ~= fingerprint then
			return { status = 422; detail = "this Idempotency-Key was used for another request; use a new one" };
		end
		return entry.problem, entry.answer;
	elseif under_way[name] then
		return { status = 409; detail = "a request with this Idempotency-Key is under way; wait for its answer" };
	elseif count >= kept_at_most then
		return { status = 503; detail = "too many idempotency keys are kept; try again later, or without one" };
	end
	under_way[name] = true;
	local problem, answer, sent = send(request, sender);
	under_way[name] = nil;
	if sent then
		keep(name, { time = os.time(); fingerprint = fingerprint; problem = problem; answer = answer });
	end
	return problem, answer;
end

return { once = once };
