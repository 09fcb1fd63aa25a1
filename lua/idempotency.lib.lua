-- Idempotency keys: a request that comes again is answered as the first time, and sends nothing.

local cache = require "util.cache";
local json = require "util.json";
local new_id = require "util.id".medium;
local now = require "util.time".monotonic;
local sha256 = require "util.hashes".sha256;

local guard = module.import "guard";
local counters = module.import "counters";
local native = module.import "native";
local open_store = module.import "store".open;
local problems = module.import "problems";
local scheduler = module.import "scheduler";
local templates = module.import "templates";

local hosts = prosody.hosts;

local kept_for = 24 * 60 * 60; -- seconds
local kept_at_most = 100000; -- keys of an account
local tidied_every = 60 * 60; -- seconds
local small = 4096; -- bytes of a body that are hashed in one call
local longest_answer = 16 * 1024; -- bytes of an answer's body that is kept
local owner_trusted = 5; -- seconds

-- One entry for each key, named by the day on which it was made and hashes of account and key, so
-- that finding one costs as much whatever their number, and whole days can be dropped by name.
local store_name = "post_msg_keys";
local store = open_store(module, store_name);
-- Another Prosody may write into it, such as into a database; then it is asked each time.
local shared = store.shared;
local unstored_at_most = 1000;
local unstored = cache.new(unstored_at_most); -- name → entry that the store would not take
local keeps_nothing = false; -- the store "none"
local stored_again_every = 5; -- seconds
local storing_again = false;
local under_way = setmetatable({}, { __mode = "v" }); -- name → the coroutine of the request, which a defect may end

counters.register("requests_with_keys", function ()
	local count = 0;
	for _, request in pairs(under_way) do
		if coroutine.status(request) ~= "dead" then count = count + 1; end
	end
	return count;
end);

local counts = {}; -- hash of an account → its keys that are kept, nearly

-- Which names the store has, so that a new key needs no look-up there: day → first digits of the key's
-- hash → the digits that follow, as a number, which Lua's collector has not to look at → true. It is
-- in small tables since a large one would hold the event loop when it grows.
local known = {};
local all_known = false;

local function day_of(time)
	return math.floor(time / kept_for);
end

local function entry_name(day, name)
	return day.."-"..name;
end

local function place_of(name) --> key in a day of `known`, key in its table
	return name:sub(18, 19), tonumber(name:sub(20, 31), 16);
end

local function note(day, name)
	local first, digits = place_of(name);
	if not digits then return; end
	local names = known[day] or {};
	known[day] = names;
	if shared then return; end
	local place = names[first] or {};
	names[first] = place;
	place[digits] = true;
end

-- Whether the store may have an entry: it is not asked for one that it cannot have.
local function may_have(day, first, digits) --> boolean
	local names = known[day];
	return not all_known or names ~= nil and names[first] ~= nil and names[first][digits] ~= nil;
end

-- An account has a random id in the store of its host, under its name, so that Prosody deletes the id with the account, also while
-- this module is not there. A key counts for the account whose id its entry has: a new account of the same name is not answered
-- what the deleted one was. Entries without an id are of an earlier version, or the id could not be stored.
local owners = cache.new(1000); -- account → { id, read }

local function owner_of(sender, make) --> id; or nil and perhaps an error
	local found = owners:get(sender.account);
	if found and now() - found.read < owner_trusted then return found.id; end
	if not hosts[sender.host] then return nil; end -- which was deactivated while the request was under way
	if sender.username:find("^%d+%-%w+%-%w+$") then return nil; end -- as the entry of a key is called
	local ok, its_store = true, store;
	if sender.host ~= module.host then
		ok, its_store = guard.call("Storage of "..sender.host, open_store, module:context(sender.host), store_name);
	end
	if not ok then return nil, its_store.detail; end
	local entry, err = its_store:get(sender.username);
	if err then return nil, err; end
	if not entry and make then
		entry = { id = new_id() };
		if not its_store:set(sender.username, entry) then return nil; end
	end
	owners:set(sender.account, entry and { id = entry.id; read = now() });
	return entry and entry.id;
end

local function is_kept(entry, time) --> boolean
	return entry ~= nil and entry.time ~= nil and time - entry.time < kept_for;
end

local function find(name) --> entry; or nil and an error
	local time = os.time();
	local in_memory = unstored:get(name);
	if is_kept(in_memory, time) then return in_memory; end
	local first, digits = place_of(name);
	local function look(day) --> entry; or nil and perhaps an error
		if not may_have(day, first, digits) then return nil; end
		local entry, err = store:get(entry_name(day, name));
		if is_kept(entry, time) then return entry; end
		keeps_nothing = entry ~= nil and entry.time == nil;
		return nil, not entry and err or nil;
	end
	local today = day_of(time);
	local entry, err = look(today);
	if not entry and not err then entry, err = look(today - 1); end
	-- Those of a clock that was set back since.
	for day in pairs(known) do
		if not entry and not err and day > today then entry, err = look(day); end
	end
	return entry, err;
end

-- Drops the days that are over, and looks at the names that are kept, a few at a time.
local function tidy()
	local first = day_of(os.time()) - 1;
	for day in pairs(known) do
		if day < first then known[day] = nil; end
	end
	for name, entry in unstored:items() do
		if not is_kept(entry, os.time()) then unstored:set(name, nil); end
	end
	local names, state, name = store:users();
	if not names then return; end
	local kept = {};
	scheduler.in_slices(function ()
		name = names(state, name);
		if not name then
			counts = kept;
			all_known = not shared;
		end
		return name;
	end, function (entry)
		local day, key_name, account = entry:match("^(%d+)%-((%w+)%-%w+)$");
		day = tonumber(day);
		if day and day < first then
			store:set(entry, nil);
		elseif day then
			note(day, key_name);
			kept[account] = (kept[account] or 0) + 1;
		end
	end);
end

local function store_entry(name, entry) --> true; or nil and an error
	return store:set(entry_name(day_of(entry.time), name), entry);
end

-- Stores what the store would not take, until it takes all.
local function store_again()
	local failed;
	scheduler.in_slices(function ()
		local name = unstored:tail();
		if not name then
			storing_again = false;
			module:log("info", "All idempotency keys are stored again");
		elseif failed then
			module:add_timer(stored_again_every, store_again);
			return nil;
		end
		return name;
	end, function (name)
		if store_entry(name, unstored:get(name)) then
			unstored:set(name, nil);
		else
			failed = true;
		end
	end);
end

local function keep(name, account, entry)
	note(day_of(entry.time), name);
	local ok, err = store_entry(name, entry);
	if not ok then
		if not storing_again then
			storing_again = true;
			module:log("warn", "Idempotency keys cannot be stored, and are forgotten if Prosody ends before they are: %s", err);
			module:add_timer(stored_again_every, store_again);
		end
		unstored:set(name, entry);
	end
	counts[account] = (counts[account] or 0) + 1;
end

local function hash_of(account) --> the part of the names of its entries
	return sha256(account, true):sub(1, 16);
end

-- Deletes the entries of an account that was deleted. None of them counts any more, so that it may take its time.
local function forget_account(event)
	local account = event.username.."@"..event.host;
	local hash = hash_of(account);
	owners:set(account, nil);
	for name in unstored:items() do
		if name:sub(1, 16) == hash then unstored:set(name, nil); end
	end
	if not counts[hash] then return; end
	counts[hash] = nil;
	local names, state, name = store:users();
	if not names then return; end
	scheduler.in_slices(function ()
		name = names(state, name);
		return name;
	end, function (entry)
		if entry:match("^%d+%-(%w+)%-") == hash then store:set(entry, nil); end
	end);
end

-- What makes a request the same as another.
local function fingerprint(exchange) --> string, or nil where the request cannot go on
	local headers, body = exchange.headers, exchange.body;
	local path, media_type, coding = exchange.request.url.path, headers.content_type or "", headers.content_encoding or "";
	local says = exchange.parameters;
	if says and says ~= "" then path = path.."?"..says; end
	if exchange.format then
		local seen = templates:seen_headers(exchange.format, headers);
		if seen ~= "" then path = path.."\n"..seen; end
	end
	if headers.content_disposition then path = path.."\n"..headers.content_disposition; end -- which names a file
	local head = #path..":"..path..#media_type..":"..media_type..#coding..":"..coding..#body..":";
	if #body <= small then
		return sha256(head..body, true);
	end
	local digest = native.digest();
	digest:add(head, 0);
	local at = 0;
	repeat
		at = digest:add(body, at);
		if at and not scheduler.breathe(exchange.sender.account) then return nil; end
	until not at;
	return digest:finish();
end

-- An answer as it is kept, with the form in which the client asked for it.
local function to_keep(answer, headers) --> answer
	if type(answer) ~= "table" or type(answer.body) == "string" and #answer.body <= longest_answer then return answer; end
	local status, sentence = answer.status_code,
		"the first answer to this Idempotency-Key was too large to be kept; nothing was sent again";
	local kept = { status_code = status; headers = { preference_applied = answer.headers.preference_applied } };
	if status >= 400 then
		kept.status_code, kept.headers.content_type, kept.body = native.refusal({ status = status; detail = sentence },
			headers.accept, headers.content_type);
	elseif headers.accept and native.wants_json(headers.accept) then
		kept.headers.content_type, kept.body = "application/json", json.encode { detail = sentence };
	else
		kept.headers.content_type, kept.body = "text/plain; charset=utf-8", sentence.."\n";
	end
	return kept;
end

local function is_key(key)
	return #key >= 1 and #key <= 255 and not key:find("[^\33-\126]");
end

-- What a key has to say before its request is sent: the entry of an earlier request, or nothing.
local function look_up(exchange, name, account, print) --> entry or nil; or nil, problem
	local entry, err = find(name);
	if entry and entry.owner then
		local owner;
		owner, err = owner_of(exchange.sender);
		if entry.owner ~= owner then entry = nil; end
	end
	if not print then
		return nil, problems.new("unloaded");
	elseif err then
		module:log("error", "Idempotency keys cannot be read: %s", err);
		return nil, problems.new("unavailable", "it cannot be told now whether this Idempotency-Key was used; try again");
	elseif entry and entry.fingerprint ~= print then
		return nil, problems.new("unprocessable", "this Idempotency-Key was used for another request; use a new one");
	elseif entry then
		return entry;
	elseif (counts[account] or 0) >= kept_at_most then
		return nil, problems.new("unavailable", "too many idempotency keys of this account are kept; try again later, or without one");
	elseif unstored:count() >= unstored_at_most and not keeps_nothing then
		return nil, problems.new("unavailable", "idempotency keys cannot be stored now; try again", { retry_after = stored_again_every });
	end
end

local function send_and_keep(exchange, name, account, print, send) --> answer; or nil, problem
	local answer, problem = send(exchange);
	if exchange.sent then
		local kept = answer or exchange.kept_answer;
		-- If it was kept earlier and Prosody was killed before the flush, a lost message would count as sent.
		scheduler.flush(exchange.sender.account);
		keep(name, account, {
			time = os.time(); fingerprint = print; owner = owner_of(exchange.sender, true);
			problem = not kept and problem or nil; answer = to_keep(kept, exchange.headers);
		});
	end
	return answer, problem;
end

-- Sends a request once. `send(exchange)` sends it; `exchange.sent` says then whether anything was sent, and `exchange.kept_answer`
-- what a client that asks again is answered, if the request itself has a problem.
local function once(exchange, key, send) --> answer; or nil, problem
	local sender = exchange.sender;
	if not is_key(key) then
		return nil, problems.new("malformed", "Idempotency-Key is 1 to 255 visible ASCII characters");
	end
	local account = sender.hash;
	if not account then
		account = hash_of(sender.account);
		sender.hash = account;
	end
	local name = account.."-"..sha256(sender.account.."\n"..key, true);
	-- A request that has raised an error does not go on.
	local other = under_way[name];
	if other and coroutine.status(other) ~= "dead" then
		return nil, problems.new("conflict", "a request with this Idempotency-Key is under way; wait for its answer");
	end
	under_way[name] = coroutine.running();
	local print = fingerprint(exchange);
	local entry, problem = look_up(exchange, name, account, print);
	local answer;
	if entry then
		answer, problem = entry.answer, entry.problem;
	elseif not problem then
		answer, problem = send_and_keep(exchange, name, account, print, send);
	end
	under_way[name] = nil;
	return answer, problem;
end

local function count() --> number
	local all = 0;
	for _, of_account in pairs(counts) do all = all + of_account; end
	return all;
end

module:hook_global("user-deleted", forget_account);
scheduler.add_timer(0, function () tidy(); return tidied_every; end);

return {
	once = once; count = count;
	-- What a reload takes with it.
	save = function () return unstored; end;
	restore = function (entries)
		for name, entry in entries:items() do keep(name, name:sub(1, 16), entry); end
	end;
};
