-- Sending tokens, as they are kept on one host: with their accounts, under the account's name, so that
-- Prosody deletes them with the account, also while this module is not there. A second store leads from a
-- token's id to its account, and has the time of its last use: only the server writes that, while
-- prosodyctl may write the first.

local jid_prep = require "util.jid".prep;
local jid_split = require "util.jid".split;
local valid_utf8 = require "util.encodings".utf8.valid;

local most_days = 36500;
local most_recipients = 1000;
local most_a_minute = 10000;
local longest_label = 200; -- bytes

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

-- One line that XML can carry.
local function is_text(text) --> boolean
	return valid_utf8(text) and not text:find("%c") and not text:find("\239\191[\190\191]");
end

local function recipient(text) --> the normal form of a bare address or domain, or nil
	local normal = is_text(text) and jid_prep(text) or nil;
	local _, domain, resource = jid_split(normal);
	return domain and not resource and jid_prep(normal) == normal and normal or nil;
end

-- What a token may do, from texts: label, to (a list), as, expires (a duration), rate. An empty text is none.
local function read(given, now) --> entry; or nil, the name of what is wrong, and a sentence in English
	local function text(name)
		return given[name] ~= "" and given[name] or nil;
	end
	local entry = { label = text("label"); made = now };
	if entry.label and (#entry.label > longest_label or not is_text(entry.label)) then
		return nil, "label", "the label is one line of text, of at most "..longest_label.." bytes";
	end
	for _, written in ipairs(given.to or {}) do
		if written ~= "" then
			local normal = recipient(written);
			if not normal then
				return nil, "to", ("%q is no address without resource, and no domain"):format(written);
			end
			entry.to = entry.to or {};
			table.insert(entry.to, normal);
		end
	end
	if entry.to and #entry.to > most_recipients then
		return nil, "to", "a token has at most "..most_recipients.." recipients; a domain stands for all of its addresses";
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
	return entry;
end

local function is_over(entry, now)
	return entry.expires ~= nil and entry.expires <= now;
end

-- The tokens of a host: `context` is the host's module API, `limit` how many tokens an account may have.
local function open(context, native, limit)
	local accounts = context:open_store("post_msg_tokens"); -- account's name → id → entry
	local ids = context:open_store("post_msg_token_ids"); -- id → { account, used }

	-- Those of an account, without those that are over.
	local function of_account(username, now) --> { id → entry }; or nil and an error
		local entries, err = accounts:get(username);
		if err then return nil, err; end
		local over = {};
		for id, entry in pairs(entries or {}) do
			if is_over(entry, now) then over[#over + 1] = id; end
		end
		for _, id in ipairs(over) do
			entries[id] = nil;
			ids:set(id, nil);
		end
		if over[1] then
			accounts:set(username, next(entries) and entries or nil);
		end
		return entries or {};
	end

	-- `entry` as `read` makes it.
	local function add(username, entry) --> token, id; or nil, "full" or "store"
		local entries = of_account(username, entry.made);
		if not entries then return nil, "store"; end
		local count = 0;
		for _ in pairs(entries) do count = count + 1; end
		if count >= limit then return nil, "full"; end
		local token, id, hash = native.new_token();
		entry.hash = hash;
		entries[id] = entry;
		if not ids:set(id, { account = username }) or not accounts:set(username, entries) then
			return nil, "store";
		end
		return token, id;
	end

	-- The token of an id, where there is one that is not over.
	local function find(id, now) --> account's name, entry, when it was used last; or nil and perhaps an error
		local index, err = ids:get(id);
		if not index then return nil, err; end
		local entries;
		entries, err = of_account(index.account, now);
		if not entries then return nil, err; end
		if entries[id] then return index.account, entries[id], index.used; end
	end

	local function note_use(id, username, now)
		ids:set(id, { account = username; used = now });
	end

	local function list(username, now) --> { { id, entry, used }, … } from the oldest to the newest; or nil
		local entries = of_account(username, now);
		if not entries then return nil; end
		local tokens = {};
		for id, entry in pairs(entries) do
			local index = ids:get(id);
			tokens[#tokens + 1] = { id = id; entry = entry; used = index and index.used };
		end
		table.sort(tokens, function (a, b)
			if a.entry.made ~= b.entry.made then return a.entry.made < b.entry.made; end
			return a.id < b.id;
		end);
		return tokens;
	end

	local function revoke(id, now) --> account's name; or nil, "none" or "store"
		local username, entry = find(id, now);
		if not username then return nil, entry and "store" or "none"; end
		local entries = accounts:get(username);
		entries[id] = nil;
		if not accounts:set(username, next(entries) and entries or nil) then
			return nil, "store";
		end
		ids:set(id, nil);
		return username;
	end

	local function forget_account(username)
		for id in pairs(accounts:get(username) or {}) do
			ids:set(id, nil);
		end
		accounts:set(username, nil);
	end

	-- Looks at all accounts for tokens that are over, and at all ids for tokens that are gone.
	local function tidy(waiting)
		local function each(store, handle)
			local ok, names, state, name = pcall(store.users, store);
			if not ok or type(names) ~= "function" then return; end
			waiting.in_slices(function ()
				name = names(state, name);
				return name;
			end, handle);
		end
		each(accounts, function (username) of_account(username, os.time()); end);
		each(ids, function (id)
			local username, err = find(id, os.time());
			if not username and not err then ids:set(id, nil); end
		end);
	end

	return {
		accounts = function () return accounts:users(); end;
		add = add; find = find; forget_account = forget_account; list = list; note_use = note_use; revoke = revoke; tidy = tidy;
	};
end

return { open = open; read = read };
