-- The settings. Each is declared here once; the table in docs/running.md has the same settings.

local jid_prep = require "util.jid".prep;
local resourceprep = require "util.encodings".stringprep.resourceprep;
local lfs = require "lfs";
local resolve_relative_path = require "util.paths".resolve_relative_path;
local set = require "util.set";

-- A kind is { label, read }: a noun for its values, and a function that returns a value in the form that the module uses, or nil if the
-- value is not of this kind.

local boolean = {
	label = "true or false";
	read = function (value)
		if type(value) == "boolean" then return value; end
	end;
};

local function number(label, minimum)
	return {
		label = label;
		read = function (value)
			value = type(value) ~= "boolean" and tonumber(value) or nil;
			return value and value >= minimum and value < math.huge and value or nil;
		end;
	};
end

local function whole_number(minimum)
	return {
		label = "a whole number, "..minimum.." or more";
		read = function (value)
			value = type(value) ~= "boolean" and tonumber(value) or nil;
			return value and value >= minimum and value < 2^31 and value % 1 == 0 and math.floor(value) or nil;
		end;
	};
end

local function list(label, read)
	return {
		label = label;
		read = function (value)
			if type(value) == "string" then value = { value }; end
			if type(value) ~= "table" then return nil; end
			local items = set.new();
			for key, item in pairs(value) do
				local result = type(key) == "number" and type(item) == "string" and read(item);
				if not result then return nil; end
				items:add(result);
			end
			return items;
		end;
	};
end

local nickname = {
	label = "a nickname";
	read = function (value)
		local nick = type(value) == "string" and resourceprep(value);
		if nick and nick ~= "" then return nick; end
	end;
};

local folder = {
	label = "an existing folder";
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

-- In prosody.cfg.lua, each name begins with post_msg_. `fallback` describes the behaviour of a setting that has no default and is
-- not set.
local declarations = {
	{
		name = "access"; kind = list("a list of addresses and domains", jid_prep); fallback = "everyone";
		description = "addresses or domains that may send: `{ \"alerts@example.com\", \"staff.example.com\" }`";
	};
	{
		name = "auth_mechanisms"; default = { "Basic", "Bearer", "Token" };
		kind = list("a list of Basic, Bearer and Token", function (name) return mechanisms[name:lower()]; end);
		description = "accepted credentials: passwords, tokens of `mod_tokenauth`, sending tokens";
	};
	{
		name = "require_encryption"; kind = boolean; default = false;
		description = "reject credentials over plain HTTP (`403`), except from the same machine";
	};
	{
		name = "size_limit"; kind = whole_number(1); default = 196608;
		description = "maximum size of one message on the wire, in bytes";
	};
	{
		name = "recipient_limit"; kind = whole_number(1); default = 100;
		description = "maximum number of recipients of one message";
	};
	{
		name = "batch_limit"; kind = whole_number(1); default = 10000;
		description = "maximum number of messages in one array or NDJSON request; each recipient counts";
	};
	{
		name = "max_wait"; kind = whole_number(0); default = 60;
		description = "maximum number of seconds for `Prefer: wait`";
	};
	{
		name = "nick"; kind = nickname; fallback = "first part of the sender's address";
		description = "nickname in rooms";
	};
	{
		name = "room_linger"; kind = number("a number of seconds", 0); default = 60;
		description = "seconds to stay in a room after sending";
	};
	{
		name = "auth_failures"; kind = whole_number(1); default = 10;
		description = "wrong passwords a minute for each client address and account, and wrong tokens a minute for each address, before `429`;"
			.." an IPv6 `/64` counts as one address";
	};
	{
		name = "credential_recheck"; kind = number("a number of seconds", 0); default = 5;
		description = "seconds for which a verified password is trusted without another check;"
			.." a change through the running server counts at once";
	};
	{
		name = "verify_threads"; kind = whole_number(1); default = 1;
		description = "native threads that derive passwords";
	};
	{
		name = "token_limit"; kind = whole_number(0); default = 100;
		description = "maximum number of sending tokens of one account";
	};
	{
		name = "page"; kind = boolean; default = true;
		description = "serve the page at `GET /msg`, on which people can try the module";
	};
	{
		name = "allow_origins"; kind = list("a list of origins, such as https://example.com", origin); fallback = "none";
		description = "origins whose pages may post here and read the answer (CORS): `{ \"https://example.com\" }`";
	};
	{
		name = "templates"; kind = folder; fallback = "none";
		description = "folder of custom templates: `NAME.j2` for `?as=NAME`";
	};
};

-- The settings of a host. `context` is the host's module API. If a value is of the wrong kind, `stop` is called with a format and its
-- arguments.
local function load(context, stop) --> { name → value }
	local values = {};
	for _, setting in ipairs(declarations) do
		local option = "post_msg_"..setting.name;
		local value = context:get_option(option);
		if value == nil then value = setting.default; end
		if value ~= nil then
			local result = setting.kind.read(value);
			if result == nil then
				stop("The setting %s is not %s", option, setting.kind.label);
			end
			values[setting.name] = result;
		end
	end
	return values;
end

return { declarations = declarations; load = load };
