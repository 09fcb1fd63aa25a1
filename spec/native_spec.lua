-- The native half without a Prosody around it, but with Prosody's own util.stanza and util.jid.
-- PLUGIN_DIR holds mod_post_msg/; PROSODY_SOURCE is Prosody's own folder, by default /usr/lib/prosody.

local path = assert(os.getenv("PLUGIN_DIR"), "PLUGIN_DIR is not set") .. "/mod_post_msg/post_msg.so";

-- The library and Prosody's libraries are built for one Lua, and busted may run on another.
local function lua_of_library()
	local file = assert(io.open(path, "rb"));
	file:seek("end", -100);
	local label = file:read("*a");
	file:close();
	return assert(label:match("for Lua ([%d.]+),"), path .. " is not a complete library");
end

local lua_version = lua_of_library();
if lua_version ~= _VERSION:match("%d+%.%d+") then
	describe("the native half, on Lua " .. lua_version .. ",", function ()
		it("passes every test of this file", function ()
			local file = debug.getinfo(1, "S").source:sub(2);
			local busted = assert(io.popen(("lua%s \"$(command -v busted)\" '%s' 2>&1 && echo passed"):format(lua_version, file)));
			local output = busted:read("*a");
			busted:close();
			if not output:match("passed\n$") then error(output, 0); end
		end);
	end);
	return;
end

local json = require "dkjson";
local lxp = require "lxp";
local read_file = require "pl.file".read;
local socket = require "socket";
local wire = require "spec.support.wire";

local source = os.getenv("PROSODY_SOURCE") or "/usr/lib/prosody";
package.path = package.path .. ";" .. source .. "/?.lua";
package.cpath = package.cpath .. ";" .. source .. "/?.so";

-- Prosody 13 calls its modules prosody.util.…, which its own loader finds as util.…
table.insert(package.searchers or package.loaders, 1, function (name)
	local plain = name:match("^prosody%.(.+)$");
	return plain and function () return require(plain); end or nil;
end);

local jid = require "util.jid";
local saslprep = require "util.encodings".stringprep.saslprep;
local st = require "util.stanza";

local unpack = table.unpack or unpack; -- COMPAT Lua 5.1
local stanza_metatable = getmetatable(st.stanza("message"));

local native = assert(package.loadlib(path, "luaopen_post_msg"))();

local served = { ["example.com"] = true, ["echo.example.com"] = true, ["rooms.example.com"] = true };

local function new(changes)
	local settings = {
		host = "example.com"; base = "/msg";
		size_limit = 196608; recipient_limit = 100; batch_limit = 10000; body_limit = 10485760;
		auth_failures = 10; verify_threads = 1;
		stanza_metatable = stanza_metatable; templates = native.templates(nil);
		prep = jid.prep;
		saslprep = saslprep;
		serves = function (domain) return served[domain] == true; end;
		has_rooms = function (domain) return domain == "rooms.example.com"; end;
	};
	for name, value in pairs(changes or {}) do settings[name] = value; end
	return native.host(settings);
end

local core = new();
local me = "me@example.com";

-- A request to `by`. Its parts are `query`, `headers`, `ip` and `id`; each has a default.
local function request(parts, by)
	return (by or core):request {
		query = parts.query; headers = parts.headers or {}; ip = parts.ip or "192.0.2.1"; id = parts.id or "r";
	};
end

-- Waits for a piece of work as scheduler.lib.lua does, but without an event loop.
local function await(by, ticket)
	local deadline = socket.gettime() + 10;
	while socket.gettime() < deadline do
		for _, ended in ipairs(by:ended()) do
			if ended == ticket then return; end
		end
		socket.sleep(0.001);
	end
	error("the work did not end");
end

-- Resolves all recipients of a batch.
local function resolve(batch, by) --> how many messages it makes; or nil, problem
	repeat
		local total, detail = batch:resolve();
		if detail and total == false then await(by or core, detail); end
		if total ~= false then return total, detail; end
	until false;
end

-- The stanzas of a batch, or nil and a problem.
local function stanzas_of(batch, by)
	local total, problem = resolve(batch, by);
	if not total then return nil, problem; end
	local stanzas = {};
	for stanza in batch.next, batch do stanzas[#stanzas + 1] = stanza; end
	return stanzas;
end

local function read(parts, body, by) --> batch; or nil, problem
	return request(parts, by):read {
		sender = { address = parts.sender or me }; path = parts.path or "/msg"; body = body; wants_receipt = parts.wants_receipt;
	};
end

local function read_json(fields, receipt, by) --> batch; or nil, problem
	return read({ headers = { content_type = "application/json" }; wants_receipt = receipt }, json.encode(fields), by);
end

-- The stanza of a body that is one message; or nil and a problem.
local function compose(parts, body, by)
	local batch, problem = read(parts, body, by);
	if not batch then return nil, problem; end
	local stanzas;
	stanzas, problem = stanzas_of(batch, by);
	if not stanzas then return nil, problem; end
	assert.equal(1, #stanzas);
	assert.is_false(batch:is_many());
	return stanzas[1];
end

local function compose_json(fields, receipt, by)
	return compose({ headers = { content_type = "application/json" }; wants_receipt = receipt }, json.encode(fields), by);
end

local function compose_text(to, text, by)
	return compose({ path = "/msg/" .. to; headers = { content_type = "text/plain" } }, text, by);
end

describe("requests", function ()
	-- mlua keeps the values of Lua that the native half holds on a stack. When it is full, every request fails.
	local places = _VERSION == "Lua 5.1" and 8000 or 1000000;

	it("take few places on that stack: an ended request takes its places until the garbage collector finds it", function ()
		local held, headers = {}, { accept = "application/json" };
		for index = 1, places * 0.3 do held[index] = request { headers = headers }; end
		assert.is_true(held[#held]:wants_json());
	end);

	it("keep no headers once they are released", function ()
		local held, headers = {}, setmetatable({}, { __mode = "v" });
		for index = 1, 10 do
			headers[index] = { accept = "application/json" };
			held[index] = request { headers = headers[index] };
		end
		for _, each in ipairs(held) do each:release(); end
		collectgarbage();
		collectgarbage();
		assert.same({}, headers);
		assert.is_false(held[1]:wants_json());
	end);
end);

describe("large bodies", function ()
	it("of one account leave memory to other accounts: one more gets 503 until another is sent", function ()
		local own = new();
		local large = "[" .. ("{\"to\":\"user\",\"body\":\"" .. ("x"):rep(1000) .. "\"},"):rep(9998) .. "{\"to\":\"user\",\"body\":\"x\"}]";
		local function compose_large(from) --> batch; or nil and a problem
			local batch, problem = read({ sender = from; headers = { content_type = "application/json" } }, large, own);
			if not batch then return nil, problem; end
			local total;
			total, problem = resolve(batch, own);
			if not total then return nil, problem; end
			return batch;
		end
		local batches = {};
		local batch, problem;
		repeat
			batch, problem = compose_large(me);
			table.insert(batches, batch);
		until not batch or #batches == 50;
		assert.is_true(#batches > 0);
		assert.equal(503, problem.status);
		assert.equal(1, problem.retry_after);
		assert(compose_large("other@example.com")):release();
		table.remove(batches):release();
		assert.is_not_nil(wire.await("memory", function () return (compose_large(me)); end));
	end);
end);

describe("the stanza that compose makes", function ()
	local all = {
		to = "user@example.com/desk"; type = "headline"; body = "b & <c>"; subject = "s"; html = "<p>a <em>b</em></p>";
		thread = "t"; id = "i'1"; lang = "de-CH"; oob_url = "urn:a:b"; state = "paused"; replace = "r";
	};

	-- The stanza that a module would build from these fields.
	local function built()
		local xhtml = "http://www.w3.org/1999/xhtml";
		return st.message({ from = me; to = all.to; type = "headline"; id = "i'1"; ["xml:lang"] = "de-CH" })
			:tag("subject"):text("s"):up()
			:tag("body"):text("b & <c>"):up()
			:tag("thread"):text("t"):up()
			:tag("html", { xmlns = "http://jabber.org/protocol/xhtml-im" }):tag("body", { xmlns = xhtml })
				:tag("p"):text("a "):tag("em"):text("b"):up():up():up():up()
			:tag("x", { xmlns = "jabber:x:oob" }):tag("url"):text("urn:a:b"):up():up()
			:tag("paused", { xmlns = "http://jabber.org/protocol/chatstates" }):up()
			:tag("replace", { xmlns = "urn:xmpp:message-correct:0", id = "r" }):up()
			:tag("request", { xmlns = "urn:xmpp:receipts" }):up();
	end

	-- Asserts that these tables are equal to the builder's, including the metatables.
	local function assert_made_alike(stanza)
		assert.equal(stanza_metatable, getmetatable(stanza));
		assert.is_true(st.is_stanza(stanza));
		local elements, members = 0, 0;
		for _, child in ipairs(stanza) do
			members = members + 1;
			if type(child) == "table" then
				elements = elements + 1;
				assert.equal(child, rawget(stanza.tags, elements)); -- the same table
				assert_made_alike(child);
			else
				assert.equal("string", type(child));
			end
		end
		assert.equal(elements, #stanza.tags);
		for key in pairs(stanza) do
			assert.is_true(type(key) == "number" and key <= members or key == "name" or key == "attr" or key == "tags", tostring(key));
		end
		for name, value in pairs(stanza.attr) do
			assert.equal("string", type(name));
			assert.equal("string", type(value));
		end
	end

	it("consists of the tables that util.stanza's own builder makes", function ()
		local stanza = compose_json(all, true);
		assert_made_alike(stanza);
		assert.same(st.clone(built()), stanza);
	end);

	it("has no optional elements if only a text is sent", function ()
		local stanza = compose_text("user", "hello");
		assert_made_alike(stanza);
		local id = stanza.attr.id;
		assert.matches("^[%w_-]+$", id);
		local expected = st.message({ from = me; to = "user@example.com"; type = "chat"; id = id }):tag("body"):text("hello"):up();
		assert.same(st.clone(expected), stanza);
	end);

	it("works with the functions of util.stanza", function ()
		local stanza = compose_json(all, true);
		assert.equal("b & <c>", stanza:get_child_text("body"));
		assert.equal("s", stanza:get_child_text("subject"));
		assert.equal("t", stanza:get_child_text("thread"));
		assert.equal("urn:a:b", stanza:get_child("x", "jabber:x:oob"):get_child_text("url"));
		assert.equal("b", stanza:find("{http://jabber.org/protocol/xhtml-im}html/{http://www.w3.org/1999/xhtml}body/p/em#"));
		assert.equal("r", stanza:find("{urn:xmpp:message-correct:0}replace@id"));
		assert.is_nil(stanza:get_child("body", "urn:other"));
		assert.equal("me@example.com", st.reply(stanza).attr.to);
		assert.equal("i'1", st.error_reply(stanza, "cancel", "gone").attr.id);
		local names = {};
		for index, child in ipairs(stanza.tags) do names[index] = child.name; end
		assert.same({ "subject", "body", "thread", "html", "x", "paused", "replace", "request" }, names);
	end);

	it("can be cloned, changed and stored like any other stanza", function ()
		local stanza = compose_json(all);
		local before = tostring(stanza);
		local clone = st.clone(stanza);
		assert.same(stanza, clone);
		clone:tag("added"):text("x"):up();
		clone:get_child("body")[1] = "other";
		clone.attr.to = nil;
		assert.equal(before, tostring(stanza));
		assert.same(stanza, st.deserialize(st.preserialize(stanza)));
		stanza:tag("added", { xmlns = "urn:x" }):text("y"):up():text_tag("last", "z");
		assert.equal("y", stanza:get_child_text("added", "urn:x"));
		assert.equal("z", stanza:get_child_text("last"));
		stanza:maptags(function (tag) return tag.name ~= "body" and tag or nil; end);
		assert.is_nil(stanza:get_child("body"));
	end);

	it("shares no table with another", function ()
		local one, other = compose_text("user", "hello"), compose_text("user", "hello");
		assert.are_not.equal(one.attr.id, other.attr.id);
		one.attr.from, one.tags[1][1] = "x", "y";
		assert.equal(me, other.attr.from);
		assert.equal("hello", other:get_child_text("body"));
	end);

	it("has the type groupchat in a room of this server unless it has a type", function ()
		assert.equal("groupchat", compose_text("a@rooms.example.com", "x").attr.type);
		assert.equal("chat", compose_text("a@rooms.example.com/nick", "x").attr.type);
		assert.equal("chat", compose_json({ to = "a@rooms.example.com"; body = "x"; type = "chat" }).attr.type);
	end);

	it("asks for a receipt if the message can have one", function ()
		assert.is_table(compose_json({ to = "user"; body = "x" }, true):get_child("request", "urn:xmpp:receipts"));
		assert.is_nil(compose_json({ to = "user"; body = "x" }, false):get_child("request", "urn:xmpp:receipts"));
	end);
end);

-- A generator of random numbers that returns the same numbers on every Lua.
local function generator(seed)
	local state = seed;
	-- From 1 to limit.
	local function random(limit)
		state = state * 16807 % 2147483647;
		return state % limit + 1;
	end
	local function pick(list)
		return list[random(#list)];
	end
	return random, pick;
end

local function utf8_of(code)
	local function byte(first, shift) return string.char(first + math.floor(code / 2^shift) % 64); end
	if code < 0x80 then return string.char(code); end
	if code < 0x800 then return string.char(0xC0 + math.floor(code / 64)) .. byte(0x80, 0); end
	if code < 0x10000 then return string.char(0xE0 + math.floor(code / 4096)) .. byte(0x80, 6) .. byte(0x80, 0); end
	return string.char(0xF0 + math.floor(code / 262144)) .. byte(0x80, 12) .. byte(0x80, 6) .. byte(0x80, 0);
end

describe("an address", function ()
	-- Ranges of characters. Each range behaves in another way in an address.
	local ranges = {
		{ 0x61, 0x7A }, { 0x61, 0x7A }, { 0x61, 0x7A }, { 0x41, 0x5A }, { 0x30, 0x39 }, { 0x21, 0x7E }, { 0x00, 0x20 },
		{ 0x80, 0xFF }, { 0xC0, 0x17F }, { 0x180, 0x24F }, -- Latin
		{ 0x300, 0x36F }, { 0x1E00, 0x1EFF }, -- combining marks, and combined characters
		{ 0x370, 0x3FF }, { 0x1F00, 0x1FFF }, { 0x400, 0x52F }, -- Greek, Cyrillic
		{ 0x590, 0x5FF }, { 0x600, 0x6FF }, { 0xFB1D, 0xFDFF }, { 0xFE70, 0xFEFE }, -- right to left
		{ 0x900, 0x97F }, { 0xE00, 0xE7F }, { 0x10A0, 0x10FF }, { 0x1C90, 0x1CBF }, { 0x13A0, 0x13FF }, { 0xAB70, 0xABBF },
		{ 0x1100, 0x11FF }, { 0xAC00, 0xD7A3 }, { 0x3040, 0x30FF }, { 0x4E00, 0x9FFF }, { 0xF900, 0xFAFF },
		{ 0xFF00, 0xFFEF }, { 0xFB00, 0xFB06 }, { 0x2070, 0x209F }, { 0x2460, 0x24FF }, { 0x2100, 0x214F },
		{ 0x3300, 0x33FF }, -- width and form
		{ 0x2000, 0x206F }, { 0x3000, 0x3002 }, { 0xFE00, 0xFE0F }, { 0xAD, 0xAD }, { 0xE000, 0xE010 }, { 0xFFF0, 0xFFFF }, -- invisible or not allowed
		{ 0x221, 0x221 }, { 0x234, 0x24F }, { 0x1E9E, 0x1E9E }, { 0xA640, 0xA69F }, { 0x20A0, 0x20CF },
		{ 0xA7AA, 0xA7AF }, -- newer than Unicode 3.2
		{ 0x1D400, 0x1D7FF }, { 0x10400, 0x1044F }, { 0x1F600, 0x1F64F }, { 0x20000, 0x20100 }, { 0x2F800, 0x2FA1D }, { 0xE0000, 0xE007F },
		{ 0x1F100, 0x1F1FF }, { 0x10D00, 0x10D3F }, { 0x1E900, 0x1E95F }, { 0x1FFFE, 0x1FFFF }, { 0x10FFF0, 0x10FFFF },
	};
	local pieces = {
		"user", "User", "EXAMPLE", "example.com", "Example.COM", "xn--bcher-kva", "bücher", "straße", "STRASSE", "ΣΊΣΥΦΟΣ",
		"ſ", "ﬁ", "İ", "ı",
		".", "..", "-", "--", "_", "+", "%", "%41", "\\20", "\\5c", "\\40", "@", "/", "//", ":", "[::1]", "127.0.0.1", " ",
		"&", "'", '"', "<", ">", "#", "?",
		"。", "．", "｡", "ａ", "Ａ", "＠", "／", "א", "ا", "١", "1", "ﷺ", "ΐ", "ᾳ", "ŉ", "ẞ", "\204\129", "\226\128\141", "\239\187\191",
	};
	local lengths = { 255, 256, 511, 512, 1022, 1023, 1024, 1025, 3071 };

	local random, pick = generator(20261122);

	local function character()
		local code;
		if random(8) == 1 then
			code = random(0x10FFFF);
		else
			local range = pick(ranges);
			code = range[1] + random(range[2] - range[1] + 1) - 1;
		end
		if code >= 0xD800 and code <= 0xDFFF then return "a"; end
		return utf8_of(code);
	end

	local function part(longest)
		if random(150) == 1 then
			return (pick { "a", "ä", "ß", "İ", "あ" }):rep(pick(lengths));
		end
		local made = {};
		for i = 1, random(longest) do
			local kind = random(10);
			if kind <= 5 then
				made[i] = utf8_of(0x60 + random(26));
			elseif kind <= 8 then
				made[i] = character();
			else
				made[i] = pick(pieces);
			end
		end
		return table.concat(made);
	end

	local function address()
		local kind = random(20);
		if kind == 1 then return part(6); end
		if kind == 2 then return part(3) .. "/" .. part(4); end
		local host = random(3) == 1 and part(4)
			or pick { "example.com", "Example.com.", "example.com..", "ex.", "bücher.example", "1.2.3.4", "[::1]", "a" };
		local made = part(4) .. "@" .. host;
		if random(2) == 1 then made = made .. "/" .. part(5); end
		return made;
	end

	-- Whether it contains a control character (Unicode's category Cc).
	local function has_control(text)
		return text:find("[%z\1-\31\127]") ~= nil or text:find("\194[\128-\159]") ~= nil;
	end

	-- Prosody's normal form, if it is stable.
	local function normal(written)
		local prepared = not has_control(written) and jid.prep(written) or nil;
		return prepared and jid.prep(prepared) == prepared and prepared or nil;
	end

	-- The rules for addresses, except URIs.
	local function expected(written)
		if written == "" or written:match("^%a[%w+.-]*:") then return nil; end
		if written:match("^[^/]*@") then return normal(written); end
		local domain = normal(written);
		if domain and served[domain:match("^[^/]*")] then return domain; end
		if written:find("/", 1, true) then return nil; end
		return normal(written .. "@example.com");
	end

	local function escape(text)
		return (text:gsub(".", function (c) return ("%%%02X"):format(c:byte()); end));
	end

	local function shown(text)
		return text and (text:gsub("[%c\128-\255]", function (c) return ("\\x%02X"):format(c:byte()); end)) or "a refusal";
	end

	-- Reads a recipient in a form. > the address; or nil, problem
	local function to_of(written)
		local stanza, problem = compose({ headers = { content_type = "application/x-www-form-urlencoded" } },
			"type=chat&body=x&to=" .. escape(written));
		return stanza and stanza.attr.to, problem;
	end

	local function compare(written, right)
		local to, problem = to_of(written);
		if to ~= right then
			error(("%s: expected %s, it is %s %s"):format(shown(written), shown(right), shown(to), problem and problem.detail or ""), 2);
		elseif not to then
			assert.equal(422, problem.status);
			assert.equal("to", problem.field);
			assert.is_nil(problem.detail:find("%c"));
		end
		return to ~= nil;
	end

	it("is normalised by util.jid.prep or rejected, for 15,000 generated ones", function ()
		local taken, refused, changed = 0, 0, 0;
		for _ = 1, 15000 do
			local written = address();
			local right = expected(written);
			if compare(written, right) then
				taken = taken + 1;
				if right ~= written then changed = changed + 1; end
			else
				refused = refused + 1;
			end
		end
		-- The generator must make enough addresses of both kinds.
		assert.is_true(taken > 3000, taken .. " were taken");
		assert.is_true(refused > 3000, refused .. " were refused");
		assert.is_true(changed > 1500, changed .. " have another normal form");
	end);

	it("is the same in the path of the request", function ()
		for _ = 1, 2000 do
			local written = address();
			local stanza, problem = compose_text(escape(written), "x");
			local right = written:sub(1, 1) ~= "/" and expected(written) or nil; -- slashes after /msg are not part of the recipient
			if written:sub(1, 1) ~= "/" then
				local to = stanza and stanza.attr.to;
				if to ~= right then
					error(("%s: expected %s, it is %s %s"):format(shown(written), shown(right), shown(to), problem and problem.detail or ""));
				end
			end
		end
	end);

	it("is read exactly from an xmpp: URI", function ()
		local taken = 0;
		for _ = 1, 3000 do
			local localpart, domain, resource = part(3):gsub("[@/]", ""), part(2):gsub("[@/]", ""), part(3);
			local written, uri;
			local kind = random(4);
			if kind == 1 then
				written, uri = domain, escape(domain);
			elseif kind == 2 then
				written, uri = domain .. "/" .. resource, escape(domain) .. "/" .. escape(resource);
			elseif kind == 3 then
				written, uri = localpart .. "@" .. domain, escape(localpart) .. "@" .. escape(domain);
			else
				written = localpart .. "@" .. domain .. "/" .. resource;
				uri = escape(localpart) .. "@" .. escape(domain) .. "/" .. escape(resource);
			end
			if compare(pick { "xmpp:", "XMPP:", "Xmpp:" } .. uri, normal(written)) then taken = taken + 1; end
		end
		assert.is_true(taken > 500, taken .. " were taken");
	end);

	it("is rejected in a URI with other components", function ()
		for _, uri in ipairs { "xmpp:", "xmpp:?", "xmpp://a@example.com", "xmpp://example.com/a@example.com", "xmpp:a@example.com?message",
			"xmpp:a@example.com?message;body=x", "xmpp:a@example.com#x", "xmpp:a%40b@example.com", "xmpp:a@b%2Fc", "xmpp:a%zz@example.com",
			"xmpp:a%@example.com", "xmpp:a%FF@example.com", "mailto:a@example.com", "sip:a@example.com", "http://example.com/", "a:b@example.com" } do
			compare(uri, nil);
		end
	end);

	it("is normalised like prep for every single character in every part", function ()
		for code = 0, 0x2FFF do
			local char = utf8_of(code);
			if code < 0xD800 then
				compare("a" .. char .. "@example.com", expected("a" .. char .. "@example.com"));
			end
		end
		for code = 0, 0x10FFFF, 61 do
			if code < 0xD800 or code > 0xDFFF then
				local char = utf8_of(code);
				for _, written in ipairs { char .. "@example.com", "a@b" .. char .. "c", "a@example.com/" .. char } do
					compare(written, expected(written));
				end
			end
		end
	end);

	it("that prep would change a second time is rejected", function ()
		local found = 0;
		for _, written in ipairs { "a@example.com..", "a@b...", "a@example.com../c" } do
			local prepared = jid.prep(written);
			if prepared and jid.prep(prepared) ~= prepared then found = found + 1; end
			compare(written, nil);
		end
		assert.is_true(found > 0);
	end);

	it("is listed once, in whatever spelling it is repeated", function ()
		local batch = assert(read_json { to = { "user", "USER@example.com", "other", "xmpp:user@Example.com", "other@example.com." }; body = "x" });
		local stanzas = stanzas_of(batch);
		assert.equal(2, #stanzas);
		assert.equal("user@example.com", stanzas[1].attr.to);
		assert.equal("other@example.com", stanzas[2].attr.to);
		assert.equal(stanzas[1].attr.id, stanzas[2].attr.id);
		assert.is_true(batch:is_many());
	end);
end);

describe("a recipient's parser", function ()
	-- A stanza, as expat parses it: { name, attributes, children… }
	local function parse(xml)
		local open = { {} };
		local function text(_, piece)
			local element = open[#open];
			if type(element[#element]) == "string" then
				element[#element] = element[#element] .. piece;
			else
				element[#element + 1] = piece;
			end
		end
		local parser = lxp.new {
			StartElement = function (_, name, attributes)
				for index in ipairs(attributes) do attributes[index] = nil; end
				local element = { name = name; attr = attributes };
				table.insert(open[#open], element);
				open[#open + 1] = element;
			end;
			EndElement = function () open[#open] = nil; end;
			CharacterData = text;
		};
		local ok, err, line, column = parser:parse(xml);
		if ok then ok, err, line, column = parser:parse(); end
		if not ok then error(("expat: %s at line %s, column %s of %q"):format(err, line, column, xml)); end
		parser:close();
		return open[1][1];
	end

	local function child_text(element, name)
		for _, child in ipairs(element) do
			if type(child) == "table" and child.name == name then return child[1] or ""; end
		end
	end

	local random, pick = generator(4);
	local edges = { 0x9, 0xA, 0x20, 0x7F, 0x80, 0x85, 0x9F, 0xA0, 0xD7FF, 0xE000, 0xFEFF, 0xFFFD, 0x10000, 0x1FFFE, 0x1FFFF, 0x10FFFF, 0x2028, 0x202E };

	-- Text of characters of XML 1.0; `attribute`: without tab and line end.
	local function text(longest, attribute)
		local made = {};
		for i = 1, random(longest) do
			local kind, code = random(10), nil;
			if kind <= 3 then
				made[i] = pick { "&", "<", ">", "'", '"', "]]>", "<!--", "-->", "&amp;", "&#0;", "<?xml?>", "</body>", "\\", "%" };
			elseif kind <= 5 then
				code = pick(edges);
			elseif kind <= 8 then
				code = 0x1F + random(0x60);
			else
				code = random(0x10FFFF);
			end
			if code then
				local legal = code == 0x9 or code == 0xA
					or code >= 0x20 and (code < 0xD800 or code > 0xDFFF) and code ~= 0xFFFE and code ~= 0xFFFF;
				made[i] = (not legal or attribute and code < 0x20) and "x" or utf8_of(code);
			end
		end
		return table.concat(made);
	end

	-- JSON with and without needless escapes: dkjson escapes more characters than it must.
	local function written(fields)
		if random(2) == 1 then return json.encode(fields); end
		local members = {};
		for name, value in pairs(fields) do
			members[#members + 1] = ('"%s":"%s"'):format(name, (value:gsub('[%c"\\]', function (c) return ("\\u%04x"):format(c:byte()); end)));
		end
		return "{" .. table.concat(members, ",") .. "}";
	end

	local function fields()
		return {
			to = "user@example.com"; type = pick { "chat", "normal", "headline" }; body = text(60); subject = text(20); thread = text(10);
			id = text(12, true); replace = text(12, true); lang = "de"; state = "active"; oob_url = "https://example.com/a?b=c&d='e'";
		};
	end

	it("reads the same text for every field of 3,000 messages", function ()
		for _ = 1, 3000 do
			local sent = fields();
			local stanza, problem = compose({ headers = { content_type = "application/json" } }, written(sent));
			if not stanza then error(problem.detail); end
			local received = parse(tostring(stanza));
			for _, name in ipairs { "body", "subject", "thread" } do
				assert.equal(sent[name], child_text(received, name));
			end
			assert.equal(sent.id, received.attr.id);
			assert.equal(sent.lang, received.attr["xml:lang"]);
			local x, replace;
			for _, child in ipairs(received) do
				if child.name == "x" then x = child; end
				if child.name == "replace" then replace = child; end
			end
			assert.equal(sent.oob_url, child_text(x, "url"));
			assert.equal(sent.replace, replace.attr.id);
		end
	end);

	it("can parse all XHTML that is accepted", function ()
		for _ = 1, 1000 do
			local markup = {};
			for i = 1, random(8) do
				markup[i] = pick { "<p>", "</p>", "<em>", "</em>", "<br/>", "a", "&amp;", "&#13;", "&#x1F980;", "<![CDATA[<&]]>", "<!--x-->",
					"<script>y</script>",
					"<a href='https://example.com/?a=1&amp;b=&quot;&apos;'>", "</a>", "<img src='http://example.com/' alt='&lt;&#10;&#9;'/>",
					"<span style='font-family: \"a\"'>", "</span>", "<x:y xmlns:x='urn:x'>", "</x:y>", "ü", "\r\n", "<p title='x'/>" };
			end
			local html = table.concat(markup);
			local stanza, problem = compose_json { to = "user"; subject = "s"; html = html };
			if stanza then
				parse(tostring(stanza));
			else
				assert.equal(422, problem.status);
				assert.equal("html", problem.field);
				assert.is_number(problem.line);
				assert.is_number(problem.column);
			end
		end
	end);

	it("never receives a character that is illegal in XML", function ()
		for code = 0, 0x10FFFF, 1 do
			local illegal = code < 0x20 and code ~= 9 and code ~= 10 and code ~= 13 or code == 0xFFFE or code == 0xFFFF;
			if illegal or code < 0x300 or code % 257 == 0 and (code < 0xD800 or code > 0xDFFF) then
				local char = utf8_of(code);
				local stanza, problem = compose_text("user", "ü" .. char .. "b");
				if illegal then
					assert.is_nil(stanza);
					assert.equal(422, problem.status);
					assert.equal("body", problem.field);
					assert.equal(1, problem.offset);
				else
					assert.equal("ü" .. (char == "\r" and "\n" or char) .. "b", child_text(parse(tostring(stanza)), "body"));
				end
			end
		end
	end);

	it("receives at most as many bytes as the limit, which counts the output of tostring", function ()
		for _ = 1, 60 do
			local sent = fields();
			local stanza = compose_json(sent);
			local size = #tostring(stanza);
			assert.same(stanza, compose_json(sent, false, new { size_limit = size }));
			assert.equal(413, select(2, compose_json(sent, false, new { size_limit = size - 1 })).status);
		end
	end);
end);

describe("a problem", function ()
	local function problem_of(content_type, body, coding)
		local stanza, problem = compose({ path = "/msg/user"; headers = { content_type = content_type; content_encoding = coding } }, body);
		assert.is_nil(stanza);
		return problem;
	end

	it("is a table with status, detail and, if they apply, field and position", function ()
		local problem = problem_of("text/plain", "ab\27");
		assert.equal("string", type(problem.detail));
		problem.detail = nil;
		assert.same({ kind = "unprocessable"; status = 422; field = "body"; offset = 2 }, problem);
		problem = problem_of("application/json", '{"body":\n "x" y}');
		problem.detail = nil;
		assert.same({ kind = "malformed"; status = 400; line = 2; column = 6 }, problem);
		problem = problem_of("text/plain", "ab\255");
		problem.detail = nil;
		assert.same({ kind = "malformed"; status = 400; offset = 2 }, problem);
	end);

	it("names what is not supported", function ()
		assert.equal(415, problem_of(nil, "\255").status);
		assert.equal(415, problem_of("texts/html", "x").status);
		assert.equal(415, problem_of("text/plain; charset=klingon", "x").status);
		assert.equal(415, problem_of("text/plain", "x", "br").status);
	end);

	local function refusal(problem, accept, content_type)
		return request({ headers = { accept = accept; content_type = content_type } }):refusal(problem, true);
	end

	it("can be written as text or as problem+json", function ()
		local problem = { status = 422; detail = "`type` is wrong"; field = "type"; offset = 3; condition = "gone" };
		local status, media_type, body = refusal(problem, nil, "text/plain");
		assert.equal(422, status);
		assert.equal("text/plain; charset=utf-8", media_type);
		assert.equal("`type` is wrong\n", body);
		for _, headers in ipairs { { "application/json", nil }, { "application/problem+json;q=0.1, text/plain", "text/plain" }, { nil, "application/json" },
			{ "*/*", "application/x-ndjson; charset=utf-8" } } do
			status, media_type, body = refusal(problem, headers[1], headers[2]);
			assert.equal(422, status);
			assert.equal("application/problem+json", media_type);
			local members = json.decode(body);
			assert.equal("Unprocessable Content", members.title);
			members.title = nil;
			assert.same(problem, members);
		end
		for _, headers in ipairs { { "text/plain", "application/json" }, { "application/json;q=0", "application/json" }, { "*/*", "text/plain" } } do
			assert.equal("text/plain; charset=utf-8", (select(2, refusal(problem, headers[1], headers[2]))));
		end
	end);

	it("names the request, unless it is kept for a later one", function ()
		local problem = { status = 422; detail = "x" };
		local asking = request { headers = { accept = "application/json" }; id = "abc" };
		assert.equal("abc", json.decode((select(3, asking:refusal(problem)))).request_id);
		assert.is_nil(json.decode((select(3, asking:refusal(problem, true)))).request_id);
	end);

	it("has a line and a column in JSON if they are known", function ()
		local _, _, body = refusal({ status = 400; detail = "x"; line = 2; column = 5 }, "application/json", nil);
		local members = json.decode(body);
		assert.same({ 2, 5 }, { members.line, members.column });
		assert.is_nil(members.offset);
	end);

	it("is one line without markup, whatever it quotes", function ()
		local _, _, body = refusal({ status = 404; detail = "<b>\r\n\0\27[31m</b>\255" }, nil, nil);
		assert.matches("^[^%c<>]+\n$", body);
	end);
end);

describe("a report", function ()
	local gone = { status = 410; detail = "a@b: gone"; condition = "gone" };

	local function finish(as_json, outcomes, many)
		local report = request({ headers = { accept = as_json and "application/json" or nil } }):report();
		for _, outcome in ipairs(outcomes) do report:add(unpack(outcome)); end
		return report:finish(many);
	end

	it("of one sent message is empty, or an object if JSON is accepted", function ()
		local status, media_type, body = finish(false, { { "i", me, "a@b", 201 } }, false);
		assert.same({ 201, "" }, { status, body });
		assert.is_nil(media_type);
		status, media_type, body = finish(true, { { "i", me, "a@b", 201 } }, false);
		assert.same({ 201, "application/json" }, { status, media_type });
		assert.same({ id = "i"; from = me; to = "a@b"; status = "sent" }, json.decode(body));
		for members, word in pairs { [200] = "delivered", [202] = "sent" } do
			status, media_type, body = finish(true, { { "i", me, "a@b", members } }, false);
			assert.same({ members, "application/json", word }, { status, media_type, json.decode(body).status });
		end
	end);

	it("of one failed message is its problem", function ()
		local status, media_type, body = finish(false, { { "i", me, "a@b", gone } }, false);
		assert.same({ 410, "text/plain; charset=utf-8", "a@b: gone\n" }, { status, media_type, body });
		status, media_type, body = finish(true, { { "i", me, "a@b", gone } }, false);
		assert.same({ 410, "application/problem+json" }, { status, media_type });
		assert.equal("gone", json.decode(body).condition);
	end);

	it("of several sent messages is an array in their order", function ()
		local outcomes = { { "i", me, "a@b", 201 }, { "j", me, "c@d", 201 } };
		local status, _, body = finish(true, outcomes, true);
		local members = json.decode(body);
		assert.same({ 201, 2, "i", "c@d" }, { status, #members, members[1].id, members[2].to });
		assert.same({ 201, nil, "" }, { finish(false, outcomes, true) });
	end);

	it("of different outcomes is 207", function ()
		local outcomes = { { "i", me, "a@b", 201 }, { "j", me, "c@d", gone } };
		local status, media_type, body = finish(true, outcomes, true);
		local members = json.decode(body);
		assert.same({ 207, "application/json", "sent", "failed" }, { status, media_type, members[1].status, members[2].status });
		assert.same({ 410, "gone", "Gone" }, { members[2].error.status, members[2].error.condition, members[2].error.title });
		status, media_type, body = finish(false, outcomes, true);
		assert.same({ 207, "text/plain; charset=utf-8" }, { status, media_type });
		assert.matches("^a@b[^\n]+\n[^\n]*gone[^\n]*\n$", body);
	end);

	it("of an array with one message is an array", function ()
		local _, _, body = finish(true, { { "i", me, "a@b", 201 } }, true);
		assert.equal("i", json.decode(body)[1].id);
	end);

	it("of several messages that failed with the same status has that status", function ()
		assert.equal(410, (finish(true, { { "i", me, "a@b", gone }, { "i", me, "c@d", gone } }, true)));
		assert.equal(410, (finish(false, { { "i", me, "a@b", gone }, { "i", me, "c@d", gone } }, true)));
	end);
end);

describe("a password", function ()
	local function attempt_of(by, password)
		local authorization = "Basic " .. require "mime".b64("somebody:" .. password);
		return request({ headers = { authorization = authorization } }, by):identify();
	end

	it("is verified in two steps, and no step can be repeated or left out", function ()
		local by = new();
		local kind, attempt = attempt_of(by, "secret");
		assert.equal("attempt", kind);
		assert.has_error(function () attempt:finish(true); end);
		assert.is_nil(attempt:password());
		assert.equal("backend", attempt:begin { recheck = 60 });
		assert.has_error(function () attempt:begin { recheck = 60 }; end);
		assert.equal("secret", attempt:password());
		assert.is_false(attempt:finish(false));
		assert.has_error(function () attempt:finish(true); end);
		assert.is_nil(attempt:password());
		assert.equal("attempt", (attempt_of(by, "secret")));
	end);

	it("becomes a Lua string only if SASLprep may change it", function ()
		local prepared = {};
		local by = new { saslprep = function (password)
			table.insert(prepared, password);
			return saslprep(password);
		end };
		local function begin(password)
			local _, attempt = attempt_of(by, password);
			local start_time, ticket = attempt:begin { recheck = 60; hash = "SHA-1"; iterations = 1 };
			if start_time == "deriving" then await(by, ticket); end
			assert.is_false(attempt:finish(false));
			return start_time;
		end
		assert.equal("deriving", begin(" !~secret"));
		assert.same({}, prepared);
		assert.equal("deriving", begin("s\195\164cret"));
		assert.equal("backend", begin("a\0311")); -- a password cannot have a control character
		assert.equal("backend", begin(("x"):rep(1024))); -- Prosody prepares no text of this length
		assert.same({ "s\195\164cret", "a\0311", ("x"):rep(1024) }, prepared);
		-- The shortcut is right: no visible ASCII character changes.
		for code = 0x20, 0x7E do
			local text = "a" .. string.char(code) .. "b";
			assert.equal(text, saslprep(text));
		end
	end);
end);

describe("headers", function ()
	it("of Prefer set how long to wait", function ()
		local function wait(prefer) return request({ headers = { prefer = prefer } }):wait(); end
		assert.equal(10, wait("respond-async, Wait=10"));
		assert.equal(0, wait("wait=0"));
		assert.is_nil(wait(nil));
		for _, value in ipairs { "", "wait", "wait=x", "wait=-1", "return=minimal", "\255" } do
			assert.is_nil(wait(value));
		end
	end);

	it("of Accept choose JSON or text", function ()
		local function wants_json(accept) return request({ headers = { accept = accept } }):wants_json(); end
		assert.is_true(wants_json("text/html, Application/JSON;q=0.5"));
		assert.is_false(wants_json(nil));
		for _, value in ipairs { "", "*/*", "application/problem+json", "application/json;q=0", "application/jsonp", "\255\0" } do
			assert.is_false(wants_json(value));
		end
	end);

	it("of OPTIONS name every media type", function ()
		for name in ("text/plain application/x-www-form-urlencoded multipart/form-data application/json application/x-ndjson"):gmatch("%S+") do
			assert.is_truthy(native.media_types:find(name, 1, true));
		end
	end);

	it("of Authorization identify the sender", function ()
		local credentials = require "mime".b64;
		local function identify(authorization, query)
			return { request({ headers = { authorization = authorization }; query = query }):identify() };
		end
		assert.same({ "bearer", "secret-token:x" }, identify("bearer secret-token:x"));
		local kind, attempt = unpack(identify("Basic " .. credentials("ME/cron:p:w")));
		assert.equal("attempt", kind);
		assert.same({ "me@example.com/cron", "me", "example.com", "me@example.com" }, { attempt:sender() });
		assert.is_nil(tostring(attempt):find("p:w", 1, true));
		for _, value in ipairs { "", "Basic", "Basic !", "Digest x", "Basic " .. credentials("me"), "Basic " .. credentials("@@:x"), "\255" } do
			assert.same({ "nobody" }, identify(value));
		end
		assert.same({ "nothing" }, identify(nil, "to=user"));
		assert.same({ "nobody" }, identify(nil, "token=x"));

		local token, id, hash = native.new_token();
		assert.is_truthy(token:match("^pmsg_" .. id .. "_[%w_-]+$"));
		assert.same({ "token", { id = id; hash = hash } }, identify("Bearer " .. token));
		assert.same({ "token", { id = id; hash = hash; address = "me@example.com/cron" } },
			identify("Basic " .. credentials("ME/cron:" .. token), "token=" .. token));
		assert.same({ "nobody" }, identify("Basic " .. credentials("@@:" .. token)));
		assert.same({ "several" }, identify("Bearer " .. token, "token=" .. native.new_token()));
	end);

	it("of Authorization have an address that is cached only after its password was right", function ()
		local preps = 0;
		local by = new { prep = function (address)
			preps = preps + 1;
			return jid.prep(address);
		end };
		local function identify()
			preps = 0;
			return request({ headers = { authorization = "Basic " .. require "mime".b64("Somebody/Cron:secret") } }, by):identify();
		end
		for _ = 1, 2 do
			assert.equal("attempt", (identify()));
			assert.is_true(preps > 0);
		end
		local _, attempt = identify();
		assert.equal("backend", attempt:begin { recheck = 60 });
		assert.is_true(attempt:finish(true));
		assert.equal("sender", (identify()));
		assert.equal("sender", (identify()));
		assert.equal(0, preps);
	end);

	it("of wrong tokens are counted for each client", function ()
		local limit = 0;
		local function refuse_token(ip) return request({ ip = ip }):refuse_token(); end
		while refuse_token("192.0.2.7") == nil do limit = limit + 1; end
		assert.is_true(limit > 0);
		assert.is_number(refuse_token("::ffff:192.0.2.7"));
		assert.is_nil(refuse_token("192.0.2.8"));
		assert.is_nil(refuse_token("\255\254"));
	end);
end);

describe("a host that is closed", function ()
	local function held()
		local pipe = assert(io.popen("cd /proc/$PPID && ls fd task | wc -l"));
		local count = pipe:read("*n");
		pipe:close();
		return count;
	end

	local function await_held(most)
		local deadline = socket.gettime() + 20;
		while held() > most do
			assert.is_true(socket.gettime() < deadline, held() .. " threads and file descriptors, and " .. most .. " before");
			socket.sleep(0.01);
		end
	end

	it("has no threads and no file descriptors, even before garbage collection", function ()
		local before = held();
		collectgarbage("stop");
		local closed = new();
		local batch = assert(read_json({ { to = "user"; body = ("x"):rep(100000) } }, false, closed));
		assert.equal(1, resolve(batch, closed));
		assert.is_true(held() > before);
		closed:close();
		await_held(before);
		collectgarbage("restart");
	end);

	it("rejects requests with 503, and has no results", function ()
		local closed = new();
		closed:close();
		closed:close();
		local batch, problem = read_json({ to = "user"; body = "Hello" }, false, closed);
		assert.same({ nil, 503 }, { batch, problem.status });
		local late = request({ headers = { authorization = "Basic " .. require "mime".b64("me@example.com:p") } }, closed);
		assert.equal("nobody", (late:identify()));
		assert.is_nil(late:refuse());
		assert.is_nil(late:refuse_token());
		closed:forget("me@example.com");
		closed:tick();
		assert.same({}, closed:ended());
		assert.is_nil(closed:wake_fds());
	end);
end);

describe("a batch", function ()
	it("of many messages is freed on another thread, to spare the event loop", function ()
		local own = new();
		local function threads() return tonumber(read_file("/proc/self/status"):match("\nThreads:%s*(%d+)")); end
		local messages = {};
		for i = 1, 10000 do messages[i] = { to = "user" .. i; body = "text " .. i }; end
		local batch = assert(read_json(messages, false, own));
		assert.equal(10000, resolve(batch, own));
		local before = threads();
		batch:release(); -- the thread starts with the first batch
		assert.equal(before + 1, threads());
		assert.is_nil(batch:next());
	end);

	it("builds its stanzas in order", function ()
		local batch = read_json { { to = { "a", "b" }; body = "1"; id = "i" }, { to = "c"; subject = "2" } };
		local stanzas = stanzas_of(batch);
		local to = {};
		for i, stanza in ipairs(stanzas) do to[i] = stanza.attr.to; end
		assert.same({ "a@example.com", "b@example.com", "c@example.com" }, to);
		assert.equal("i", stanzas[2].attr.id);
		assert.equal("2", stanzas[3]:get_child_text("subject"));
		assert.equal(stanza_metatable, getmetatable(stanzas[1]));
		assert.is_true(batch:is_many());
	end);

	it("builds no stanza if one message is wrong", function ()
		local batch = read_json { { to = "a"; body = "1" }, { to = "@"; body = "2" } };
		local stanzas, problem = stanzas_of(batch);
		assert.is_nil(stanzas);
		assert.same({ 422, "to" }, { problem.status, problem.field });
		assert.matches("message 2", problem.detail);
	end);

	it("parses large bodies outside the event loop", function ()
		local long = ("0123456789"):rep(15000);
		local function read_text(text) return read({ path = "/msg/user"; headers = { content_type = "text/plain" } }, text); end
		local batch = read_text(long);
		local is_done, ticket = batch:resolve();
		assert.is_false(is_done);
		assert.is_number(ticket);
		await(core, ticket);
		local stanzas = stanzas_of(batch);
		assert.equal(1, #stanzas);
		assert.equal(long, stanzas[1]:get_child_text("body"));
		assert.is_false(batch:is_many());
		local problem;
		stanzas, problem = stanzas_of(read_text(long .. "\255"));
		assert.is_nil(stanzas);
		assert.same({ 400, 150000 }, { problem.status, problem.offset });
	end);
end);
