// Java's HttpsURLConnection, by the options that `egret run` puts into JAVA_TOOL_OPTIONS, and an Authenticator.
import java.net.Authenticator;
import java.net.HttpURLConnection;
import java.net.PasswordAuthentication;
import java.net.URI;

public class Get {
    public static void main(String[] arguments) throws Exception {
        String token = URI.create(System.getenv("HTTPS_PROXY")).getUserInfo().split(":")[0];
        Authenticator.setDefault(new Authenticator() {
            @Override
            protected PasswordAuthentication getPasswordAuthentication() {
                return getRequestorType() == RequestorType.PROXY ? new PasswordAuthentication(token, new char[] {'x'}) : null;
            }
        });
        var connection = (HttpURLConnection) URI.create(System.getenv("API") + "/items").toURL().openConnection();
        connection.setRequestProperty("Authorization", "Bearer #{SECRETS.API_TOKEN}");
        System.out.println(connection.getResponseCode() + " " + new String(connection.getInputStream().readAllBytes()));
    }
}
