-- Finds the native half beside this file, checks it, and loads it.

local version = "1.0.0";

local lua_version = _VERSION:match("%d+%.%d+");

-- Stops the module from loading, with one line in the log. The error is a table, because Prosody adds a stack trace to an error that is
-- a string.
local function stop(text, ...)
	text = text:format(...);
	error(setmetatable({}, { __tostring = function () return text; end }), 0);
end

-- Reads the label of a library: `make` appends a line with the version, Lua's version and the size.
local function label_of(path) --> whether it is complete, version, Lua's version; or nil and an error
	local file, err = io.open(path, "rb");
	if not file then return nil, err; end
	local size = file:seek("end") or 0;
	file:seek("set", math.max(size - 100, 0));
	local label = file:read("*a") or "";
	file:close();
	local its_version, its_lua, its_size = label:match("\nmod_post_msg (%S+) for Lua (%S+), (%d+) bytes\n$");
	return tonumber(its_size) == size, its_version, its_lua;
end

-- Checks a library before it is loaded: the dynamic loader may crash on an incomplete file.
local function check_library(path)
	local is_complete, its_version, its_lua = label_of(path);
	if is_complete == nil then
		stop("The native half of mod_post_msg cannot be read (%s); build and install it with: make install PLUGIN_DIR=…", its_version);
	elseif not is_complete then
		stop("%s is not a complete library of mod_post_msg; build and install it again with: make install PLUGIN_DIR=…", path);
	elseif its_lua ~= lua_version then
		stop("%s is built for Lua %s, and this Prosody runs on Lua %s; build the right one with: make install LUA_VERSION=%s PLUGIN_DIR=…",
			path, its_lua, lua_version, lua_version);
	elseif its_version ~= version then
		stop("%s is version %s, and the module beside it %s; build and install both with: make install PLUGIN_DIR=…",
			path, its_version, version);
	end
end

-- The dynamic loader and Lua load a path once, even if the file at the path is replaced later. So each new file gets another spelling
-- of the path.
local function spelling(directory, file)
	local lfs = require "lfs";
	local known_files = module:shared("/*/post_msg/libraries");
	local attributes = lfs.attributes(directory.."/"..file) or {};
	local identity = ("%s %s %s %s"):format(directory, attributes.ino, attributes.modification, attributes.size);
	if not known_files[identity] then
		known_files.count = (known_files.count or 0) + 1;
		known_files[identity] = known_files.count;
	end
	return directory..("/."):rep(known_files[identity]).."/"..file;
end

local function load()
	local directory = module:get_directory();
	check_library(directory.."/post_msg.so");
	local open, err = package.loadlib(spelling(directory, "post_msg.so"), "luaopen_post_msg");
	if not open then
		stop("The native half of mod_post_msg does not load (%s); build it on this machine with: make install PLUGIN_DIR=…", err);
	end
	return open();
end

-- Describes the mod_post_msg in a folder, for `prosodyctl mod_post_msg check`.
local function describe(directory) --> string
	local is_complete, its_version = label_of(directory.."/post_msg.so");
	return is_complete and "version "..its_version or is_complete == nil and "without a native half" or "with an incomplete native half";
end

return { load = load; stop = stop; describe = describe };
