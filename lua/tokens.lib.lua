-- Sending tokens, as they are kept on one host: each by its id, with its account. Which ids an account has is kept
-- under the account's name, and a token that is not among them is none: Prosody deletes that with the account, also
-- while this module is not there. What is kept of a token is written once, so that a power loss can tear only one that was
-- just made; when it was used is an entry of its own.

local cache = require "util.cache";
local jid_prep = require "util.jid".prep;
local jid_split = require "util.jid".split;
local open_store = module.import "store".open;
local counters = module.import "counters";
local problems = module.import "problems";
local show = module.import "display".show;
local now_monotonic = require "util.time".monotonic;
local valid_utf8 = require "util.encodings".utf8.valid;

local most_days = 36500;
local most_recipients = 100;
local most_recipient_bytes = 16 * 1024; -- of all recipients of a token
local most_a_minute = 10000;
local longest_label = 200; -- bytes
local longest_secret = 1000; -- bytes
local most_waiting = 100; -- uses of tokens that are not written yet

local seconds_of = { s = 1; m = 60; h = 60 * 60; d = 24 * 60 * 60 };

-- "90d" → seconds
local function duration(text) --> number, or nil
	local count, unit = tostring(text):match("^(%d+)([smhd])$");
	local seconds = count and tonumber(count) * seconds_of[unit];
	return seconds and seconds > 0 and seconds <= most_days * seconds_of.d and seconds or nil;
end

local function whole_number(text, most) --> number, or nil
	local number = tostring(text):match("^%d+$") and tonumber(text);
	return number and number >= 1 and number <= most and number or nil;
end

-- One line that XML can carry, and that does nothing to a terminal.
local function is_text(text) --> boolean
	return valid_utf8(text) and show(text, #text) == text and not text:find("\239\191[\190\191]");
end

local function recipient(text) --> the normal form of a bare address or domain, or nil
	local normal = is_text(text) and jid_prep(text) or nil;
	local _, domain, resource = jid_split(normal);
	return domain and not resource and jid_prep(normal) == normal and normal or nil;
end

-- What a token may do, from texts: label, to (a list), as, expires (a duration), rate, webhook_secret. An empty text is none.
local function read(given, now) --> entry; or nil, the name of what is wrong, and a sentence in English
	local function text(name)
		return given[name] ~= "" and given[name] or nil;
	end
	local entry = { label = text("label"); made = now };
	if entry.label and (#entry.label > longest_label or not is_text(entry.label)) then
		return nil, "label", "the label is one line of text, of at most "..longest_label.." bytes";
	end
	local bytes = 0;
	for _, written in ipairs(given.to or {}) do bytes = bytes + #written; end
	if #(given.to or {}) > most_recipients or bytes > most_recipient_bytes then
		return nil, "to", ("a token has at most %d recipients, of %d bytes in all; a domain stands for all of its addresses"):format(
			most_recipients, most_recipient_bytes);
	end
	for _, written in ipairs(given.to or {}) do
		if written ~= "" then
			local normal = recipient(written);
			if not normal then
				return nil, "to", ('"%s" is no address without resource, and no domain'):format(show(written));
			end
			entry.to = entry.to or {};
			table.insert(entry.to, normal);
		end
	end
	entry.as = text("as");
	if entry.as and not entry.as:find("^%w[%w._-]*$") then
		return nil, "as", "a format is named with letters, digits, dots, hyphens and underscores";
	end
	if text("expires") then
		local seconds = duration(given.expires);
		if not seconds then
			return nil, "expires", "the time until a token expires is a whole number with s, m, h or d, such as 90d; at most "..most_days.."d";
		end
		entry.expires = now + seconds;
	end
	if text("rate") then
		entry.rate = whole_number(given.rate, most_a_minute);
		if not entry.rate then
			return nil, "rate", "the messages a minute are a whole number from 1 to "..most_a_minute;
		end
	end
	entry.webhook_secret = text("webhook_secret");
	if entry.webhook_secret and (#entry.webhook_secret > longest_secret or not is_text(entry.webhook_secret)) then
		return nil, "webhook_secret", "the webhook's secret is one line of text, of at most "..longest_secret.." bytes";
	end
	return entry;
end

-- Drops the entries of a cache that were set first, as long as they have expired; two at most, as one is set.
local function drop_expired(entries, has_expired)
	for _ = 1, 2 do
		local key, entry = entries:tail();
		if not key or not has_expired(entry) then return; end
		entries:set(key, nil);
	end
end

-- How a token is held to so many messages in any minute.
local sent_by = cache.new(10000); -- id → what it sent in the last minute: { first, last, total, [index] = { begun, time, count } }
local most_counts = 60; -- for a token; beyond them, messages of one second are counted together

local function admission(id, rate) --> function
	return function (count) --> function that gives back as many as were not sent; or nil, problem
		local time, sent = now_monotonic(), sent_by:get(id) or { first = 1; last = 0; total = 0 };
		sent_by:set(id, sent);
		drop_expired(sent_by, function (other)
			return other ~= sent and (not other[other.last] or other[other.last].time + 60 <= time);
		end);
		while sent.first <= sent.last and sent[sent.first].time + 60 <= time do
			sent.total = sent.total - sent[sent.first].count;
			sent[sent.first].count = 0;
			sent[sent.first] = nil;
			sent.first = sent.first + 1;
		end
		if sent.total + count <= rate then
			local entry = sent[sent.last];
			if not entry or sent.last - sent.first < most_counts or time - entry.begun >= 1 then
				entry = { begun = time; count = 0 };
				sent.last = sent.last + 1;
				sent[sent.last] = entry;
			end
			entry.time, entry.count = time, entry.count + count;
			sent.total = sent.total + count;
			return function (unsent)
				unsent = math.min(unsent, entry.count); -- the count is 0 after the minute
				entry.count, sent.total = entry.count - unsent, sent.total - unsent;
			end;
		end
		-- When so much of it is a minute ago that this fits.
		local total, index, seconds = sent.total, sent.first, 60;
		while index <= sent.last and total + count > rate do
			total = total - sent[index].count;
			seconds = math.ceil(sent[index].time + 60 - time);
			index = index + 1;
		end
		return nil, problems.new("throttled", count > rate
				and ("the request makes %d messages, and token %s sends %d a minute; send fewer at once"):format(count, id, rate)
				or ("token %s sends %d messages a minute; try again in %d seconds"):format(id, rate, seconds), { retry_after = seconds });
	end;
end

local function all_at_once(next_item, handle)
	for item in next_item do handle(item); end
end

-- What a list shows of a token's recipients: as many as have so many bytes.
local most_bytes_shown = 512;

local function shown_recipients(recipients) --> list of texts, or nil
	if not recipients then return nil; end
	local shown, bytes = {}, 0;
	for index, address in ipairs(recipients) do
		bytes = bytes + #address;
		if bytes > most_bytes_shown then
			shown[index] = ("… (%d more)"):format(#recipients - index + 1);
			break;
		end
		shown[index] = address;
	end
	return shown;
end

-- The tokens of a host: `context` is the host's module API, `limit` how many tokens an account may have. `in_slices` calls a
-- function with each item of an iterator and leaves the event loop free; without it, all is done at once.
local function open(context, native, limit, in_slices)
	in_slices = in_slices or all_at_once;
	local store = open_store(context, "post_msg_tokens"); -- id → entry, with `account`; id-used → { used }
	local accounts = open_store(context, "post_msg_token_ids"); -- account's name → id → when it expires, or 0

	local uses, waiting = {}, 0; -- id → when it was used, which is to be written, and how many there are
	local noted = cache.new(10000); -- id → when a use was noted

	if context == module then counters.register("token_uses", function () return waiting; end); end

	local function use_of(id) return id.."-used"; end

	local function delete(id)
		uses[id] = nil;
		store:set(id, nil);
		store:set(use_of(id), nil);
	end

	local function delete_all(ids)
		local id;
		in_slices(function ()
			id = next(ids, id);
			return id;
		end, delete);
	end

	local function set_ids(username, ids)
		return accounts:set(username, next(ids) and ids or nil);
	end

	-- The ids of an account, from its tokens, where what is stored of them is torn.
	local collected = {}; -- account's name → its ids, while they cannot be stored
	local function collect_ids(username) --> { id → when it expires, or 0 }; or nil and an error
		local ids = collected[username];
		if not ids then
			local names, state, name = store:users();
			if not names then return nil, "the tokens cannot be listed"; end
			ids = {};
			for id in names, state, name do
				local entry, err = store:get(id);
				if err then return nil, err; end
				if entry and entry.account == username then ids[id] = entry.expires or 0; end
			end
		end
		collected[username] = not set_ids(username, ids) and ids or nil;
		return ids;
	end

	-- The ids of an account, without those that are over.
	local function ids_of(username, now) --> { id → when it expires, or 0 }; or nil and an error
		local ids, err, torn = accounts:get(username);
		if err then return nil, err; end
		if torn then
			ids, err = collect_ids(username);
			if not ids then return nil, err; end
		end
		local over = {};
		for id, expires in pairs(ids or {}) do
			if expires > 0 and expires <= now then over[id] = true; end
		end
		if next(over) then
			for id in pairs(over) do ids[id] = nil; end
			set_ids(username, ids);
			delete_all(over);
		end
		return ids or {};
	end

	-- `entry` as `read` makes it.
	local function add(username, entry) --> token, id; or nil, "full" or "store"
		local ids = ids_of(username, entry.made);
		if not ids then return nil, "store"; end
		local count = 0;
		for _ in pairs(ids) do count = count + 1; end
		if count >= limit then return nil, "full"; end
		local token, id, hash = native.new_token();
		entry.account, entry.hash = username, hash;
		ids[id] = entry.expires or 0;
		if not store:set(id, entry) then return nil, "store"; end
		if not set_ids(username, ids) then
			delete(id);
			return nil, "store";
		end
		return token, id;
	end

	-- The token of an id, where there is one that is not over.
	local function find(id, now) --> entry; or nil and perhaps an error
		if not id:find("^%x+$") or #id > 100 then return nil; end -- a store may take no other name
		local entry, err = store:get(id);
		if not entry or not entry.account then return nil, err; end
		local ids;
		ids, err = ids_of(entry.account, now);
		if not ids then return nil, err; end
		return ids[id] and entry;
	end

	-- Writing takes longer than a request should, so it waits for its turn, one at a time, and leaves the server
	-- to others in between. While many wait, a use is not noted; a later one of the same token is.
	local function note_use(id, now)
		if waiting >= most_waiting or math.abs(now - (noted:get(id) or 0)) < 60 then return; end
		noted:set(id, now);
		drop_expired(noted, function (time) return math.abs(now - time) >= 60; end);
		waiting = waiting + 1;
		uses[id] = now;
		context:add_timer(0.02 * waiting, function ()
			waiting = waiting - 1;
			local used = uses[id];
			uses[id] = nil;
			-- That of a token that prosodyctl has revoked is tidied away.
			if used then store:set(use_of(id), { used = used }); end
		end);
	end

	-- `breathe`, where it is given, leaves the event loop to others between two tokens, and returns whether to go on.
	local function list(username, now, breathe) --> { { id, entry }, … } from the oldest to the newest; or nil
		local ids = ids_of(username, now);
		if not ids then return nil; end
		local tokens = {};
		for id in pairs(ids) do
			if breathe and not breathe() then return nil; end
			local entry = store:get(id);
			if entry then
				entry.used = uses[id] or (store:get(use_of(id)) or {}).used;
				tokens[#tokens + 1] = { id = id; entry = entry };
			end
		end
		table.sort(tokens, function (a, b)
			if a.entry.made ~= b.entry.made then return a.entry.made < b.entry.made; end
			return a.id < b.id;
		end);
		return tokens;
	end

	local function revoke(id, now) --> account's name; or nil, "none" or "store"
		local entry, err = find(id, now);
		if not entry then return nil, err and "store" or "none"; end
		local ids = ids_of(entry.account, now);
		if not ids then return nil, "store"; end
		ids[id] = nil;
		if not set_ids(entry.account, ids) then return nil, "store"; end
		delete(id);
		return entry.account;
	end

	local function forget_account(username)
		local ids = accounts:get(username) or {};
		accounts:set(username, nil);
		delete_all(ids);
	end

	-- How many there are, when they were counted last. prosodyctl makes and revokes tokens too, so they are counted
	-- again, once a minute at most.
	local counted, counting_since = 0, nil;
	local function count() --> number
		local time = now_monotonic();
		if counting_since and time - counting_since < 60 then return counted; end
		counting_since = time;
		local names, state, name = store:users();
		if not names then return counted; end
		local found = 0;
		in_slices(function ()
			name = names(state, name);
			if not name then counted = found; end
			return name;
		end, function (entry)
			if not entry:find("-", 1, true) then found = found + 1; end
		end);
		return counted;
	end

	-- Looks at all tokens, and deletes those that are over and those whose account was deleted.
	local function tidy()
		local names, state, name = store:users();
		if not names then return; end
		in_slices(function ()
			name = names(state, name);
			return name;
		end, function (entry_name)
			local id = entry_name:match("^[^-]*");
			local entry, err = find(id, os.time());
			if not entry and not err then delete(id); end
		end);
	end

	return {
		accounts = function () return accounts:users(); end;
		add = add; admission = admission; count = count; find = find; forget_account = forget_account; list = list; note_use = note_use;
		revoke = revoke; tidy = tidy;
	};
end

return { drop_expired = drop_expired; open = open; read = read; shown_recipients = shown_recipients };
