-- Each row of the table in docs/running.md that compares this module with the Lua module is true for this module: a request here, or
-- the tests in another file, show it.

local pages = require "spec.support.pages";
local world = require "spec.support.world";
local lfs = require "lfs";

local here = debug.getinfo(1, "S").source:match("^@(.*)/spec/") or ".";
local form = { ["Content-Type"] = "application/x-www-form-urlencoded" };
local request = world.request;

local function json(body) return request("/msg/user", body, { ["Content-Type"] = "application/json" }); end
local function by(method) return (request("/msg/user", "x"):gsub("^POST", method)); end

-- The requests for a row: { bytes, status, pattern of the stanza that arrives at user@example.com }.
local rows = {
	["`/msg/user`"] = { { request("/msg/user", "x"), 201, " to='user@example.com'" } };
	["`/msg` without a recipient in the path"] = { { request("/msg", "to=user&body=x", form), 201, "<body>x</body>" } };
	["the account does not exist"] = { { request("/msg/nobody@example.com", "x"), 404 } };
	["empty body"] = { { request("/msg/user", ""), 422 }, { request("/msg/user", "", form), 422 } };
	["JSON that is not an object"] = { { json('"x"'), 422 }, { json("5"), 422 } };
	["unknown `type`"] = { { request("/msg/user", "body=x&type=shout", form), 422 }, { request("/msg/user", "body=x&type=error", form), 422 } };
	["a field twice in a form"] = { { request("/msg/user", "body=x&body=y", form), 422 } };
	["fields `subject`, `id`, `lang` and others"] = {
		{ request("/msg/user", "body=x&subject=y&id=z&lang=en", form), 201, "<subject>y</subject>" };
	};
	["a form without `=`"] = { { request("/msg/user", "Server has crashed", form), 201, "<body>Server has crashed</body>" } };
	["chunked body"] = {
		{ request("/msg/user", "1\r\nx\r\n0\r\n\r\n", { ["Content-Length"] = false, ["Transfer-Encoding"] = "chunked" }), 201, "<body>x</body>" };
	};
	["`Expect: 100-continue`"] = "spec/languages_spec.lua";
	["`text/plain; charset=utf-8`, or no `Content-Type`"] = {
		{ request("/msg/user", "ü", { ["Content-Type"] = "text/plain; charset=utf-8" }), 201, "<body>ü</body>" };
		{ request("/msg/user", "\252", { ["Content-Type"] = "text/plain; charset=iso-8859-1" }), 201, "<body>ü</body>" };
		{ request("/msg/user", "ü", { ["Content-Type"] = false }), 201, "<body>ü</body>" };
	};
	["a line end at the end of `text/plain`"] = { { request("/msg/user", "x\n"), 201, "<body>x</body>" } };
	["broken credentials, fields of the wrong type, NUL, invalid UTF-8"] = {
		{ request("/msg/user", "x", { Authorization = "Basic %%%" }), 401 };
		{ json('{"body": ["x"]}'), 422 };
		{ request("/msg/user", "a\0b"), 422 };
		{ request("/msg/user", "a\255b"), 400 };
	};
	["terminal colours in the text"] = { { request("/msg/user", "\27[1mx"), 422 } };
	["`PUT`, `GET` of a recipient"] = { { by "PUT", 201, "<body>x</body>" }, { by "GET", 405 } };
	["the message's `id`"] = { { request("/msg/user", "x"), 201, " id='[^']+'" } };
	["`multipart/form-data`, NDJSON, gzip"] = "spec/cases/multipart";
	["several recipients, batches, files"] = "spec/cases/several";
	["rooms"] = "spec/rooms_spec.lua";
	["a page for the browser, OpenAPI"] = "spec/page_spec.lua";
	["webhooks of Alertmanager, Grafana, GitHub and others"] = "spec/webhooks_spec.lua";
	["receipts, idempotency keys, bearer tokens, sending tokens"] = "spec/keys_spec.lua";
	["passwords"] = "spec/auth_spec.lua";
	["scripts of other pages in a browser (CORS)"] = "spec/cases/origin";
	["a stranger sends wrong passwords"] = "spec/auth_spec.lua";
	["needs"] = "spec/native_spec.lua";
};

-- Carbons and the archive are of the sender: another client of the sender gets a copy, and the archive has one.
rows["the sender's other clients, archive and block list"] = function ()
	world.send("me@example.com", "<iq type='set' id='carbons'><enable xmlns='urn:xmpp:carbons:2'/></iq>");
	world.ping("me@example.com");
	assert.equal(201, world.http(request("/msg/user", "copied")).status);
	assert.is_truthy(world.receive("me@example.com"):find("<sent xmlns='urn:xmpp:carbons:2'>.*<body>copied</body>"));
	assert.is_true(world.lua([[
		local archive = prosody.hosts["example.com"].modules.mam and module:context("example.com"):open_store("archive", "archive");
		for _, stanza in archive:find("me", { with = "user@example.com" }) do
			if stanza:get_child_text("body") == "copied" then return true; end
		end
		return false]]));
end;

describe("the differences from the Lua module in docs/running.md", function ()
	setup(function ()
		local hosts = world.defaults().hosts;
		hosts["example.com"].modules = { "post_msg", "carbons", "mam" };
		world.start({ hosts = hosts });
		world.login("me@example.com", "user@example.com");
	end);

	teardown(world.stop);

	local listed = {};
	local table_text = pages.find("docs/running.md", "\n| | Lua `mod_post_msg` | this module |\n|[-|]+|\n(.*)$");
	for row in table_text:gmatch("| ([^|]+) |[^\n]*\n") do listed[#listed + 1] = row; end

	for _, row in ipairs(listed) do
		it(row, function ()
			local shown = assert(rows[row], "nothing shows this row");
			if type(shown) == "function" then return shown(); end
			if type(shown) == "string" then
				return assert.is_truthy(lfs.attributes(here .. "/" .. shown), shown);
			end
			for _, step in ipairs(shown) do
				world.collect();
				assert.equal(step[2], world.http(step[1]).status);
				local messages = world.collect()["user@example.com"];
				assert.equal(step[3] and 1 or 0, #messages);
				if step[3] then assert.is_truthy(messages[1]:find(step[3]), messages[1]); end
			end
		end);
	end

	it("are all in the table", function ()
		local count = 0;
		for _ in pairs(rows) do count = count + 1; end
		assert.equal(count, #listed);
	end);
end);
