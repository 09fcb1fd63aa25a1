-- The page at GET /msg, as a person uses it in Chromium. The steps are in spec/support/browser.py.

local json = require "dkjson";
local programs = require "spec.support.programs";
local world = require "spec.support.world";

local here = debug.getinfo(1, "S").source:match("^@(.*)/spec/") or ".";
local python = programs.folder .. "/python/bin/python";
local user = "user@example.com";

if programs.output_of("'" .. python .. "' -c 'import selenium, axe_playwright_python' 2>&1") ~= "" then
	print("not covered: the page in a browser, for which this machine does not have selenium and axe-core");
	return;
elseif not programs.find("chromium") or not programs.find("chromedriver") then
	return;
end

local function quote(text) return "'" .. text:gsub("'", "'\\''") .. "'"; end

local path = "/msg";
local browsers = {}; -- by language: { address, process, folder }

-- Runs a flow of browser.py in the browser at that address, or in a new one. > what the flow returns
local function browse_at(address, flow, ...)
	local words = { python, here .. "/spec/support/browser.py", world.server.http_port .. path, flow, ... };
	for i, word in ipairs(words) do words[i] = quote(word); end
	local output = programs.output_of("BROWSER=" .. address .. " " .. table.concat(words, " ") .. " 2>&1");
	local found, after = json.decode(output);
	if not after or output:find("%S", after) then error(output, 2); end
	return found;
end

local function browse(...) return browse_at(browsers.en.address, ...); end

local function received()
	local messages, trouble = world.collect();
	assert.same({}, trouble);
	return messages[user];
end

describe("the page", function ()
	setup(function ()
		world.start({ components = 'Component "upload.example.com" "http_file_share"\n\thttp_host = "127.0.0.1"\n' });
		world.login(user);
		for _, lang in ipairs { "en", "de" } do browsers[lang] = browse_at("", "start", lang); end
	end);

	teardown(function ()
		for _, browser in pairs(browsers) do os.execute(("kill %d; rm -rf '%s'"):format(browser.process, browser.folder)); end
		assert.same({}, world.errors());
		world.stop();
	end);

	it("sends a message, and shows the curl line that does the same", function ()
		for _, subject in ipairs { "", "It's a \"subject\"" } do
			local curl = browse("send", "me@example.com", world.password["me@example.com"], "@Hello, it's 'me' & <you>", subject);
			local message = assert(received()[1]);
			assert.is_truthy(message:find("<body>@Hello, it's 'me' &amp; &lt;you&gt;</body>", 1, true)
				or message:find("<body>@Hello, it&apos;s &apos;me&apos; &amp; &lt;you&gt;</body>", 1, true), message);
			assert.is_truthy(curl:find("-u 'me@example.com'", 1, true), curl);
			-- The line asks for this password.
			assert.equal(201, (world.curl((curl:gsub("'me@example.com'", "'me@example.com:mypassword'")))));
			local function nameless(raw) return (raw:gsub(" id='[^']*'", ""):gsub("<stanza%-id[^>]*>", "")); end
			assert.same({ nameless(message) }, { nameless(assert(received()[1])) });
		end
	end);

	it("sends a file", function ()
		local name = os.tmpname();
		local file = assert(io.open(name, "w"));
		file:write("in the file");
		file:close();
		local curl = browse("send_file", name);
		os.remove(name);
		local base_name = name:match("[^/]+$");
		local message = assert(received()[1]);
		assert.is_truthy(message:find("<body>With a file</body>", 1, true), message);
		assert.is_truthy(message:match("<url>http://127%.0%.0%.1:%d+/[^<]*/" .. base_name:gsub("%p", "%%%0") .. "</url>"), message);
		assert.is_truthy(curl:find("--form-string 'body=With a file' \\\n    -F 'file=@\"" .. base_name .. "\"'", 1, true), curl);
	end);

	it("shows the outcome for each recipient", function ()
		browse("send_to_several");
		assert.equal(1, #received());
	end);

	it("shows in the field why signing in fails", function () browse("wrong_password"); end);

	it("says so if the connection is not encrypted", function () browse_at("", "encryption"); end);

	it("shows a problem once, at its field if it has one, with its correction", function ()
		browse("wrong_field");
		assert.same({}, received());
	end);

	it("makes a token, which sends, and cannot manage tokens; after it is revoked, it does not send", function ()
		local token = browse("make_token", "A \"label\" & <b>");
		assert.is_truthy(token:match("^pmsg_%x+_[%w_-]+$"), token);
		local curl = browse("send", "", token, "By token", "");
		assert.is_truthy(received()[1]:find("<body>By token</body>", 1, true));
		assert.is_truthy(curl:find('-H "Authorization: Bearer $TOKEN"', 1, true), curl);
		assert.equal(201, (world.curl("TOKEN='" .. token .. "'\n" .. curl)));
		assert.is_truthy(received()[1]:find("<body>By token</body>", 1, true));
		browse("token_only_sends", token);
		browse("revoke_token", "A \"label\" & <b>");
		assert.equal(401, (world.curl("TOKEN='" .. token .. "'\n" .. curl)));
	end);

	-- For each kind of program: with a recipient, and with any.
	for _, program in ipairs { "gotify", "ntfy", "pushover", "grafana" } do
		it("says what to enter in the program for whose format a token is made, as " .. program, function ()
			for _, to in ipairs { user, "" } do
				local shown = browse("make_token_for", program, to);
				local before, after, curl = shown[1], shown[2], shown[3];
				local token = after.Token;
				assert.matches("^pmsg_%x+_[%w_-]+$", token);
				if program == "grafana" then
					assert.equal("http://example.com/msg" .. (to == "" and "/RECIPIENT" or "") .. "?token=" .. token, after.URL);
					local recipient = to == "" and "RECIPIENT" or to;
					assert.equal("http://example.com/msg/" .. recipient .. "?as=grafana&token=TOKEN", before.URL);
				else
					before["The same with curl"] = nil;
					for name, value in pairs(before) do before[name] = value == "TOKEN" and token or value; end
					assert.same(after, before);
				end
				assert.is_truthy(curl:find("-H 'Authorization: Bearer " .. token .. "'", 1, true), curl);
				assert.equal(200, (world.curl((curl:gsub("RECIPIENT", user)))));
				assert.equal(1, #received());
			end
		end);
	end

	it("says what to enter in a program that publishes to ntfy, which then sends", function ()
		local entered = browse("make_token_for", "ntfy", user)[2];
		assert.same({ Server = "http://example.com/msg", Topic = "any name", Token = entered.Token }, entered);
		assert.equal(200, (world.curl(("curl -u ':%s' -d 'By ntfy' %s/a_topic"):format(entered.Token, entered.Server))));
		assert.is_truthy(received()[1]:find("<body>By ntfy</body>", 1, true));
	end);

	it("shows the URL of a token for a device that can only call a URL", function ()
		local shown = browse("make_token_for", "", user, "get");
		assert.same({}, shown[1]);
		assert.equal(201, (world.curl("curl '" .. shown[2].URL .. "'")));
		assert.is_truthy(received()[1]:find("<body>Hello</body>", 1, true));
		assert.equal(201, (world.curl(shown[3])));
		assert.is_truthy(received()[1]:find("<body>Hello</body>", 1, true));
	end);

	it("shows the messages of the formats, without sending them, and what to enter in the program", function ()
		local shown = browse("formats");
		assert.equal("🔥 FIRING: DiskFull\ndb1.example.com:9100 · warning\n/srv of db1 is almost full\nhttps://runbooks.example.com/disk\n"
			.. "http://prometheus.example.com:9090/graph", shown.alertmanager.text);
		local names = {};
		for name in programs.output_of("cd '" .. here .. "/templates' && ls *.j2"):gmatch("(%S+)%.j2\n") do
			assert.is_truthy(shown[name] and shown[name].text ~= "", "no example of " .. name);
			local enter = shown[name].enter;
			if enter.Token then
				assert.equal("TOKEN", enter.Token);
				assert.matches("^http://example%.com/msg", enter.Server or enter.URL);
			else
				assert.same({ URL = "http://example.com/msg/me@example.com?as=" .. name .. "&token=TOKEN" }, enter);
			end
			names[#names + 1] = name;
		end
		assert.equal(14, #names);
		assert.same({}, received());
		local token = browse("make_token_for", "", "")[2].Token;
		local url = shown.slack.enter.URL:gsub("TOKEN", token):gsub("me@", "user@");
		assert.equal(200, (world.curl("curl '" .. url .. "' -d '{\"text\": \"By Slack\"}'")));
		assert.is_truthy(received()[1]:find("<body>By Slack</body>", 1, true));
	end);

	it("leads from a format to its token", function () browse("make_token_from_formats", "grafana"); end);

	it("can be used with the keyboard alone", function ()
		browse("keyboard");
		assert.is_truthy(received()[1]:find("<body>By keyboard</body>", 1, true));
	end);

	it("is the only page that posts with a remembered password: forms of other sites are rejected", function ()
		local shown = browse_at("", "other_site"); -- the password stays in that browser
		assert.equal(3, #shown);
		for _, text in ipairs(shown) do assert.matches("^a page of another site may not post here", text); end
		local bodies = {};
		for i, message in ipairs(received()) do bodies[i] = message:match("<body>(.-)</body>"); end
		assert.same({ "By the own page", "By the own page", "By the own page" }, bodies);
	end);

	it("stores no credentials", function () browse("nothing_is_kept"); end);

	-- Each state is checked by axe-core, and for messages in the console and for parts that are wider than their place.
	local said = {};
	for _, look in ipairs { { "en", 360, "light" }, { "en", 1400, "dark" }, { "de", 360, "dark" }, { "de", 1400, "light" } } do
		it(("is accessible in %s, %d px wide, %s"):format(look[1], look[2], look[3]), function ()
			said[look[1]] = browse_at(browsers[look[1]].address, "looks", look[1], tostring(look[2]), look[3]);
		end);
	end

	it("is completely in German for a German browser, except names", function ()
		assert.equal(#said.en, #said.de);
		for i, text in ipairs(said.en) do
			if text == said.de[i] then assert.is_truthy(text == "Format" or text == "URL" or text:find("^[a-z.-]+$"), text); end
		end
	end);

	it("works at the path that http_paths sets", function ()
		world.start({ extra = 'http_paths = { post_msg = "/a/b" }' });
		world.login(user);
		path = "/a/b";
		local curl = browse_at("", "send", "me@example.com", world.password["me@example.com"], "From there", "");
		assert.is_truthy(received()[1]:find("<body>From there</body>", 1, true));
		assert.is_truthy(curl:find("curl 'http://example.com/a/b/user@example.com'", 1, true), curl);
	end);
end);
