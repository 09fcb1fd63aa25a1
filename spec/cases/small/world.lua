-- Small limits.
local world = require "spec.support.world";
local hosts = world.defaults().hosts;
hosts["example.com"].lines = "post_msg_size_limit = 500 post_msg_recipient_limit = 3 post_msg_batch_limit = 5";
return { hosts = hosts, extra = "http_max_content_size = 5000" };
