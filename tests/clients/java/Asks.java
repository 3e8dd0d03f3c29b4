// One request with a placeholder in its head by HttpClient or HttpURLConnection; says what a program can say of the answer.
import java.io.IOException;
import java.net.*;
import java.net.http.*;

public class Asks {
    public static void main(String[] arguments) throws Exception {
        var uri = URI.create(arguments[1]);
        String token = System.getProperty("https.proxyUser");
        if (arguments[0].equals("HttpClient")) {
            var request = HttpRequest.newBuilder(uri).header("X-Key", "#{SECRETS.KEY}");
            if (token != null) request.header("Proxy-Authorization", "Bearer " + token);
            var answer = HttpClient.newHttpClient().send(request.build(), HttpResponse.BodyHandlers.ofString());
            throw new IOException(answer.statusCode() + " " + answer.body());
        }
        if (token != null) Authenticator.setDefault(new Authenticator() {
            @Override
            protected PasswordAuthentication getPasswordAuthentication() {
                return new PasswordAuthentication(token, new char[] {'x'});
            }
        });
        var connection = (HttpURLConnection) uri.toURL().openConnection();
        connection.setRequestProperty("X-Key", "#{SECRETS.KEY}");
        throw new IOException(connection.getResponseCode() + " " + connection.getResponseMessage());
    }
}
