-- A store of this module, whose functions raise no errors. Prosody does not sync the files of its internal storage: after a loss of
-- power, a file that was written in the seconds before may be empty or hold other bytes. Such a torn entry is logged, and counts as
-- missing.

local envload = require "util.envload".envload;

local server = module.import "prosody";

local store = {};
store.__index = store;

-- `context` is the module API of a host.
local function open(context, name) --> store
	return setmetatable({
		context = context; name = name; keyval = context:open_store(name);
		shared = not server.is_in_files(context.host, name); -- whether other processes may write into it, as into a database
	}, store);
end

-- A file that cannot be read now, for example because file descriptors are used up, is not torn.
function store:is_torn(entry) --> boolean
	if self.shared then return false; end
	local file = io.open(server.path_of_entry(self.context.host, self.name, entry), "rb");
	local text = file and file:read("*a");
	if file then file:close(); end
	if not text then return false; end
	local load = envload(text, "="..self.name, {});
	local ok, data = pcall(load or error);
	return not ok or data == nil;
end

function store:get(entry) --> data, or nil if there is no entry; or nil and an error; or nil, nil and true if it is torn
	local ok, data, err = pcall(self.keyval.get, self.keyval, entry);
	if not ok then data, err = nil, data; end
	if data or not self:is_torn(entry) then return data or nil, err; end -- the storage "none" returns false
	self.context:log("warn", "The entry %s of %s is torn, as after a loss of power, and counts as missing", entry, self.name);
	return nil, nil, true;
end

-- The data nil deletes the entry.
function store:set(entry, data) --> true; or nil and an error
	local ok, result, err = pcall(self.keyval.set, self.keyval, entry, data);
	if not ok then return nil, result; end
	return result, err;
end

-- The names of all entries.
function store:users() --> iterator, state and first name, as `pairs` returns them; or nil
	local ok, names, state, first = pcall(self.keyval.users, self.keyval);
	if not ok or type(names) ~= "function" then return nil; end
	return names, state, first;
end

return { open = open };
