<?php
// curl in PHP sends chunks if CURLOPT_UPLOAD is set and no length is known.
[, $url, $token] = $argv;
$request = curl_init($url);
foreach ([str_repeat("x", 100000), "small", str_repeat("x", 100000), "small"] as $text) {
    $sent = 0;
    curl_setopt_array($request, [
        CURLOPT_UPLOAD => true,
        CURLOPT_CUSTOMREQUEST => "POST",
        CURLOPT_PROXY => "",
        CURLOPT_RETURNTRANSFER => true,
        CURLOPT_HTTPHEADER => ["Authorization: Bearer $token"],
        CURLOPT_READFUNCTION => function ($request, $file, $length) use ($text, &$sent) {
            $part = substr($text, $sent, min($length, 10000));
            $sent += strlen($part);
            return $part;
        },
    ]);
    curl_exec($request);
    echo curl_getinfo($request, CURLINFO_RESPONSE_CODE), " ";
}
