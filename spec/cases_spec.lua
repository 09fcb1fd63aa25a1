--[[ Every file spec/cases/GROUP/NAME.case is one test of the whole module in a real Prosody:

	# A sentence that says what is checked
	POST /msg/user
	Content-Type: text/plain

	Server@host has just crashed!
	=> 201
	=> user@example.com
	<message from='me@example.com' to='user@example.com' type='chat' id='*'><body>Server@host has just crashed!</body></message>

The first line is the test's name; more lines with # may follow. Then come the steps, with a line of --- between one
and the next. A step is a request and, in sections that begin with =>, what comes of it.

The request is one of
	* an HTTP request as above. `Host: example.com`, `Authorization` (of me@example.com), `Content-Length` and the
	  `HTTP/1.1` of the first line are added; a header that is given replaces its own, and a line `-Authorization`
	  leaves it out. The line end before the next => does not belong to the body;
	* a line `$ curl …`, run in a shell as it is; whatever host and port it names lead to this Prosody. Of the answer,
	  headers cannot be checked;
	* a line `<= ADDRESS` and a stanza, which that client sends.

In requests, bodies and stanzas, <<1B>> or <<0D 0A>> is the byte or the bytes, <<"text">> is the text, either with
` * 1000` in it repeats, as in <<"ab" * 1000>>, and <<base64 text>> is the text as Base64.

What comes of it:
	=> 422                  the status, and below it, as many as wanted of
	Allow: OPTIONS, POST, PUT a header, exactly, or
	Accept-Post: ~ text/plain   by a Lua pattern;
	-WWW-Authenticate         no such header;
	.field = "body"           a member of a JSON body (.2.error.status: of arrays and objects in it); * is any string,
	.detail ~ offset 3        by a Lua pattern;
	-.offset                  no such member;
	~ too long                the body, by a Lua pattern; or, after an empty line,
	                          the body, exactly. A 2xx of which nothing is told has none.
	=> user@example.com     the stanza that this client receives, as it comes over the wire: only the order of
	                        attributes does not count, an attribute ='*' may have any value, and the <stanza-id/> of
	                        the archive is left out unless it is told
	=> nobody               no client receives anything (which is so wherever no stanza is told)

After every step: no client received anything more, or was disconnected, or got what is not well-formed; there is no
error in Prosody's log, no 500, and no password in the log or the answer; an error is one line of text/plain or a
complete application/problem+json.

Logged in are me@, user@ and other@example.com and carol@second.example (passwords: spec/support/world.lua). For
offline@… and the like there is no account. bounce.CONDITION@echo.example.com and its relatives bounce
(spec/support/modules/mod_spec_echo.lua). A folder with a file world.lua, which returns options for world.start, has
a Prosody of its own.
]]

local case = require "spec.support.case";
local lfs = require "lfs";
local world = require "spec.support.world";
local read = require "pl.file".read;

local root = debug.getinfo(1, "S").source:match("^@(.*)_spec%.lua$");

-- The names in a folder that match, in alphabetical order.
local function names(folder, pattern)
	local found = {};
	for name in lfs.dir(folder) do
		if name:match(pattern) then found[#found + 1] = name; end
	end
	table.sort(found);
	return found;
end

for _, group in ipairs(names(root, "^[^.]+$")) do
	local folder = root .. "/" .. group;
	describe("#" .. group, function ()
		lazy_setup(function ()
			local options = lfs.attributes(folder .. "/world.lua") and dofile(folder .. "/world.lua");
			if options or case.group_options or not world.server then case.start(options); end
			case.group_options = options;
		end);

		for _, name in ipairs(names(folder, "%.case$")) do
			local path = folder .. "/" .. name;
			local ok, found = pcall(case.read, read(path));
			it(ok and found.title .. " (" .. group .. "/" .. name .. ")" or path, function ()
				assert(ok, path .. ": " .. tostring(found));
				case.run(found);
			end);
		end
	end);
end

teardown(world.stop);
