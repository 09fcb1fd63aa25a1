-- The settings. Each is declared here once; the table in docs/running.md shows the same.

local jid_prep = require "util.jid".prep;
local resourceprep = require "util.encodings".stringprep.resourceprep;
local lfs = require "lfs";
local resolve_relative_path = require "util.paths".resolve_relative_path;
local set = require "util.set";

-- A kind has what its values are called, and a function that returns a value as the module uses it, or nil if the value is not of the
-- kind.

local boolean = {
	called = "true or false";
	read = function (value)
		if type(value) == "boolean" then return value; end
	end;
};

local function number(called, least)
	return {
		called = called;
		read = function (value)
			value = type(value) ~= "boolean" and tonumber(value) or nil;
			return value and value >= least and value < math.huge and value or nil;
		end;
	};
end

local function whole_number(least)
	return {
		called = "a whole number, "..least.." or more";
		read = function (value)
			value = type(value) ~= "boolean" and tonumber(value) or nil;
			return value and value >= least and value < 2^31 and value % 1 == 0 and math.floor(value) or nil;
		end;
	};
end

local function list(called, read)
	return {
		called = called;
		read = function (value)
			if type(value) == "string" then value = { value }; end
			if type(value) ~= "table" then return nil; end
			local items = set.new();
			for key, item in pairs(value) do
				local good = type(key) == "number" and type(item) == "string" and read(item);
				if not good then return nil; end
				items:add(good);
			end
			return items;
		end;
	};
end

local nickname = {
	called = "a nickname";
	read = function (value)
		local nick = type(value) == "string" and resourceprep(value);
		if nick and nick ~= "" then return nick; end
	end;
};

local folder = {
	called = "an existing folder";
	read = function (value)
		if type(value) ~= "string" then return nil; end
		local path = resolve_relative_path(prosody.paths.config or ".", value);
		return lfs.attributes(path, "mode") == "directory" and path or nil;
	end;
};

local function origin(value)
	return value:match("^https?://[^/%s]+$");
end

local mechanisms = { basic = "Basic", bearer = "Bearer", token = "Token" };

-- In prosody.cfg.lua, each name begins with post_msg_. `without` says what a setting without a default means if it is not set.
local declared = {
	{
		name = "access"; kind = list("a list of addresses and domains", jid_prep); without = "everyone";
		says = "addresses or domains that may send: `{ \"alerts@example.com\", \"staff.example.com\" }`";
	};
	{
		name = "auth_mechanisms"; default = { "Basic", "Bearer", "Token" };
		kind = list("a list of Basic, Bearer and Token", function (name) return mechanisms[name:lower()]; end);
		says = "accepted credentials: passwords, tokens of `mod_tokenauth`, sending tokens";
	};
	{
		name = "require_encryption"; kind = boolean; default = false;
		says = "reject credentials over plain HTTP (`403`), except from the same machine";
	};
	{
		name = "size_limit"; kind = whole_number(1); default = 196608;
		says = "maximum size of one message on the wire, in bytes";
	};
	{
		name = "recipient_limit"; kind = whole_number(1); default = 100;
		says = "maximum number of recipients of one message";
	};
	{
		name = "batch_limit"; kind = whole_number(1); default = 10000;
		says = "maximum number of messages in one array or NDJSON request; each recipient counts";
	};
	{
		name = "max_wait"; kind = whole_number(0); default = 60;
		says = "maximum number of seconds for `Prefer: wait`";
	};
	{
		name = "nick"; kind = nickname; without = "first part of the sender's address";
		says = "nickname in rooms";
	};
	{
		name = "room_linger"; kind = number("a number of seconds", 0); default = 60;
		says = "seconds to stay in a room after sending";
	};
	{
		name = "auth_failures"; kind = whole_number(1); default = 10;
		says = "wrong passwords a minute for each client address and account, and wrong tokens a minute for each address, before `429`;"
			.." an IPv6 `/64` counts as one address";
	};
	{
		name = "credential_recheck"; kind = number("a number of seconds", 0); default = 5;
		says = "seconds for which a verified password is trusted without another check;"
			.." a change through the running server counts at once";
	};
	{
		name = "verify_threads"; kind = whole_number(1); default = 1;
		says = "native threads that derive passwords";
	};
	{
		name = "token_limit"; kind = whole_number(0); default = 100;
		says = "maximum number of sending tokens of one account";
	};
	{
		name = "page"; kind = boolean; default = true;
		says = "serve the page at `GET /msg`, on which people can try the module";
	};
	{
		name = "allow_origins"; kind = list("a list of origins, such as https://example.com", origin); without = "none";
		says = "origins whose pages may post here and read the answer (CORS): `{ \"https://example.com\" }`";
	};
	{
		name = "templates"; kind = folder; without = "none";
		says = "folder of custom templates: `NAME.j2` for `?as=NAME`";
	};
};

-- The settings of a host. `context` is the host's module API. If a value is of the wrong kind, `stop` is called with a format and its
-- arguments.
local function load(context, stop) --> { name → value }
	local values = {};
	for _, setting in ipairs(declared) do
		local option = "post_msg_"..setting.name;
		local value = context:get_option(option);
		if value == nil then value = setting.default; end
		if value ~= nil then
			local good = setting.kind.read(value);
			if good == nil then
				stop("The setting %s is not %s", option, setting.kind.called);
			end
			values[setting.name] = good;
		end
	end
	return values;
end

return { declared = declared; load = load };
