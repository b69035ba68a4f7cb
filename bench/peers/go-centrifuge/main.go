// The shortest good Go program for the same job, without a log: pgoutput read by pglogrepl, each row published straight
// into centrifuge, the library behind Centrifugo. Loses rows when it or a client is away; measured for its speed only.
package main

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"os"
	"time"

	"github.com/centrifugal/centrifuge"
	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

const channel = "orders"

// PostgreSQL ends a walsender that has heard nothing for wal_sender_timeout (60 s).
const statusInterval = 10 * time.Second

func main() {
	node, err := centrifuge.New(centrifuge.Config{})
	check(err)
	node.OnConnecting(func(context.Context, centrifuge.ConnectEvent) (centrifuge.ConnectReply, error) {
		return centrifuge.ConnectReply{
			Credentials:    &centrifuge.Credentials{},
			Subscriptions:  map[string]centrifuge.SubscribeOptions{channel: {}},
			PingPongConfig: &centrifuge.PingPongConfig{PingInterval: -1, PongTimeout: -1},
		}, nil
	})
	check(node.Run())
	conn := stream(os.Getenv("DATABASE_URL"), os.Getenv("PUBLICATION"))
	http.Handle("/ws", centrifuge.NewWebsocketHandler(node, centrifuge.WebsocketConfig{}))
	go func() { check(http.ListenAndServe("127.0.0.1:"+os.Getenv("PORT"), nil)) }()
	capture(conn, func(event []byte) {
		if _, err := node.Publish(channel, event); err != nil {
			log.Print(err)
		}
	})
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

// Opens a temporary slot and its stream.
func stream(url, publication string) *pgconn.PgConn {
	ctx := context.Background()
	conn, err := pgconn.Connect(ctx, url)
	check(err)
	slot := fmt.Sprintf("go_peer_%d", os.Getpid())
	_, err = pglogrepl.CreateReplicationSlot(ctx, conn, slot, "pgoutput", pglogrepl.CreateReplicationSlotOptions{Temporary: true})
	check(err)
	check(pglogrepl.StartReplication(ctx, conn, slot, 0, pglogrepl.StartReplicationOptions{
		PluginArgs: []string{"proto_version '1'", fmt.Sprintf("publication_names '%s'", publication)},
	}))
	return conn
}

func capture(conn *pgconn.PgConn, publish func([]byte)) {
	relations := map[uint32]*pglogrepl.RelationMessage{}
	var commit *pglogrepl.BeginMessage
	received, next := pglogrepl.LSN(0), time.Now()
	for {
		if !time.Now().Before(next) {
			check(pglogrepl.SendStandbyStatusUpdate(context.Background(), conn, pglogrepl.StandbyStatusUpdate{WALWritePosition: received}))
			next = time.Now().Add(statusInterval)
		}
		ctx, cancel := context.WithDeadline(context.Background(), next)
		message, err := conn.ReceiveMessage(ctx)
		cancel()
		if pgconn.Timeout(err) {
			continue
		}
		check(err)
		data, ok := message.(*pgproto3.CopyData)
		if !ok {
			log.Fatalf("the stream ended: %T", message)
		}
		switch data.Data[0] {
		case pglogrepl.PrimaryKeepaliveMessageByteID:
			keepalive, err := pglogrepl.ParsePrimaryKeepaliveMessage(data.Data[1:])
			check(err)
			if keepalive.ReplyRequested {
				next = time.Time{}
			}
		case pglogrepl.XLogDataByteID:
			wal, err := pglogrepl.ParseXLogData(data.Data[1:])
			check(err)
			logical, err := pglogrepl.Parse(wal.WALData)
			check(err)
			received = max(received, wal.WALStart)
			switch m := logical.(type) {
			case *pglogrepl.RelationMessage:
				relations[m.RelationID] = m
			case *pglogrepl.BeginMessage:
				commit = m
			case *pglogrepl.InsertMessage:
				publish(event(relations[m.RelationID], m.Tuple, commit))
			}
		}
	}
}

// The event in the form (and so the size) that Debezium and Rowcast give it.
func event(relation *pglogrepl.RelationMessage, tuple *pglogrepl.TupleData, commit *pglogrepl.BeginMessage) []byte {
	out := make([]byte, 0, 768)
	out = append(out, `{"before":null,"after":{`...)
	for i, column := range tuple.Columns {
		if i > 0 {
			out = append(out, ',')
		}
		format := "%q:%q"
		if relation.Columns[i].DataType == 23 { // integer
			format = "%q:%s"
		}
		out = fmt.Appendf(out, format, relation.Columns[i].Name, column.Data)
	}
	us := commit.CommitTime.UnixMicro()
	ms := time.Now().UnixMilli()
	return fmt.Appendf(out, `},"source":{"version":"3.6.1.Final","connector":"postgresql","name":"orders","ts_ms":%d,"snapshot":"false","db":"orders_db","sequence":"[\"%d\",\"%d\"]","ts_us":%d,"ts_ns":%d000,"schema":"public","table":"orders","txId":%d,"lsn":%d,"xmin":null},"transaction":null,"op":"c","ts_ms":%d,"ts_us":%d000,"ts_ns":%d000000}`,
		us/1000, commit.FinalLSN, commit.FinalLSN, us, us, commit.Xid, commit.FinalLSN, ms, ms, ms)
}
