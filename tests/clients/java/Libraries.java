// One request with a placeholder in its head by each of three libraries, to URL/okhttp, URL/apache-4 and URL/apache-5.
public class Libraries {
    public static void main(String[] arguments) throws Exception {
        var header = new String[] {"X-Key", "#{SECRETS.KEY}"};
        var request = new okhttp3.Request.Builder().url(arguments[0] + "/okhttp").header(header[0], header[1]).build();
        System.out.println(new okhttp3.OkHttpClient().newCall(request).execute().code());

        var four = new org.apache.http.client.methods.HttpGet(arguments[0] + "/apache-4");
        four.setHeader(header[0], header[1]);
        System.out.println(org.apache.http.impl.client.HttpClients.createDefault().execute(four).getStatusLine());

        var five = new org.apache.hc.client5.http.classic.methods.HttpGet(arguments[0] + "/apache-5");
        five.setHeader(header[0], header[1]);
        System.out.println(org.apache.hc.client5.http.impl.classic.HttpClients.createDefault().execute(five).getCode());
        System.exit(0); // or OkHttp's threads keep it for minutes, with the connection that might be used again
    }
}
