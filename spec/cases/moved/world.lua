-- The module under another path.
local world = require "spec.support.world";
local hosts = world.defaults().hosts;
hosts["example.com"].lines = 'http_paths = { post_msg = "/send/it" }';
return { hosts = hosts };
